"""How much of a device a model may use: the batch size that fits a GPU's memory, the cores beside other processes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("vaa")
_RETRY_AFTER_BATCHES = 16
"""Full batches after which a size that did not fit is tried again: another process may have freed memory."""
_USABLE_SHARE = 0.85
"""Share of the free memory that a batch may use."""


@dataclass
class AdaptiveBatchSize:
    """A batch size that is halved when memory runs out, and doubled while two full batches would fit a GPU's."""

    size: int
    _too_large: int | None = field(init=False, default=None)
    _full_batches: int = field(init=False, default=0)

    @property
    def limited(self) -> bool:
        """Whether a larger batch did not fit."""
        return self._too_large is not None

    def reduce(self, failed: int) -> None:
        """Record that a batch of `failed` queries did not fit."""
        if self.size > failed // 2:
            self.size, self._too_large, self._full_batches = max(1, failed // 2), failed, 0
            log.warning("Out of memory with a batch of %d queries; the batch size is now %d.", failed, self.size)

    def record(self, answered: int, memory_share: float) -> None:
        """Record that a batch fitted, using this share of the free memory (1.0 if unknown)."""
        if answered < self.size:
            return
        self._full_batches += 1
        if self._too_large is not None and self.size * 2 >= self._too_large:
            if self._full_batches < _RETRY_AFTER_BATCHES:
                return
            self._too_large = None
        if 2 * memory_share < _USABLE_SHARE:
            self.size, self._full_batches = 2 * self.size, 0


@dataclass
class GpuMemoryMeter:
    """Measures the share of the GPUs' free memory that the `with` block uses; 1.0 on a CPU, where it is unknown."""

    model: Any
    _before: dict[int, tuple[int, int]] = field(init=False, default_factory=dict)

    def __enter__(self) -> GpuMemoryMeter:
        import torch

        for gpu in self._gpus():
            available = torch.cuda.mem_get_info(gpu)[0] + torch.cuda.memory_reserved(gpu)
            torch.cuda.reset_peak_memory_stats(gpu)
            allocated = torch.cuda.memory_allocated(gpu)
            self._before[gpu] = (allocated, available - allocated)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""

    @property
    def share(self) -> float:
        """The peak so far, on the GPU where it is highest."""
        import torch

        shares = [
            (torch.cuda.max_memory_allocated(gpu) - allocated) / max(1, free)
            for gpu, (allocated, free) in self._before.items()
        ]
        return max(shares, default=1.0)

    def _gpus(self) -> list[int]:
        import torch

        places = getattr(self.model, "hf_device_map", None) or {"": self.model.device}
        names = (f"cuda:{place}" if isinstance(place, int) else str(place) for place in places.values())
        devices = {torch.device(name) for name in names if name != "disk"}
        return sorted({device.index or 0 for device in devices if device.type == "cuda"})


@dataclass
class CpuSharing:
    """Within the `with` block, a model on the CPU uses as many threads as `busy` other processes leave it cores.

    The threads of a model wait for each other: two on 1.5 cores are slower than one on one core. The number of threads
    is set before each of the model's top modules runs (a few frames, a token).
    """

    model: Any
    busy: Callable[[], int]
    _stack: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> CpuSharing:
        import torch

        all_threads = torch.get_num_threads()
        if str(self.model.device) != "cpu" or all_threads == 1:
            return self

        def set_threads(*_: Any) -> None:
            threads = max(1, all_threads - self.busy())
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)

        self._stack.callback(torch.set_num_threads, all_threads)
        for module in self.model.base_model.children():
            self._stack.callback(module.register_forward_pre_hook(set_threads).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
