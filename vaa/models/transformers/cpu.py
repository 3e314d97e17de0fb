"""The cores of a machine without a GPU, shared between a model and the processes that decode beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any


@dataclass
class CpuSharing:
    """Within the `with` block a model on the CPU takes the cores that so many `busy` processes leave it, at least one.

    Threads of one model wait for each other: two on a core and a half are slower than one on a core. It is looked at
    anew before each part of the model is entered (a few frames, a token).
    """

    model: Any
    busy: Callable[[], int]
    _stack: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> CpuSharing:
        import torch

        whole = torch.get_num_threads()
        if str(self.model.device) != "cpu" or whole == 1:
            return self

        def settle(*_: Any) -> None:
            wanted = max(1, whole - self.busy())
            if torch.get_num_threads() != wanted:
                torch.set_num_threads(wanted)

        self._stack.callback(torch.set_num_threads, whole)
        for part in self.model.base_model.children():
            self._stack.callback(part.register_forward_pre_hook(settle).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
