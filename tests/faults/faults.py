"""Faults that are injected into a run's own process before it starts; they are pickled and sent there."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LogBatches:
    """No fault: write each batch of queries as a line of `file` before the model gets it.

    With `gate`, batch number `gated_from` and later ones wait until that file exists.
    """

    file: Path
    gate: Path | None = None
    gated_from: int = 1

    def __call__(self) -> None:
        from vaa.models.transformers import batching

        run_batch, numbers = batching._BatchRunner._try, count(1)

        def logged(runner: Any, batch: Any) -> Any:
            queries = [[query.video.id, query.frames, query.text] for query in batch.queries]
            with self.file.open("a") as file:
                file.write(json.dumps([os.getpid(), queries]) + "\n")
            if self.gate and next(numbers) >= self.gated_from:
                _wait_for(self.gate)
            return run_batch(runner, batch)

        batching._BatchRunner._try = logged  # type: ignore[method-assign]


def _wait_for(file: Path) -> None:
    """Wait for a file, five minutes at most: a failed test never creates it."""
    end = time.monotonic() + 300.0
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.01)


@dataclass(frozen=True)
class OutOfMemory:
    """Raise an accelerator's out-of-memory error for more than `limit` queries in a batch."""

    limit: int

    def __call__(self) -> None:
        import torch

        from vaa.models.transformers import batching

        generate = batching.generate

        def limited(loaded: Any, queries: Any, *args: Any) -> Any:
            if len(queries) > self.limit:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")
            return generate(loaded, queries, *args)

        batching.generate = limited


@dataclass(frozen=True)
class JumpingClock:
    """The clock jumps an hour back, a day ahead, and back to the true time, at every call."""

    def __call__(self) -> None:
        true_time, calls = time.time, count()
        time.time = lambda: true_time() + (-3600.0, 86400.0, 0.0)[next(calls) % 3]


@dataclass(frozen=True)
class Unprivileged:
    """Run without root's rights, so that file permissions apply."""

    def __call__(self) -> None:
        os.setgid(65534)
        os.setuid(65534)


@dataclass(frozen=True)
class ShortLockTimeout:
    """Wait for a locked cache for `seconds` instead of a minute."""

    seconds: float

    def __call__(self) -> None:
        from vaa import cache

        cache._LOCK_TIMEOUT = self.seconds


@dataclass(frozen=True)
class KilledDecoder:
    """Kill the first other process that decodes, while it decodes; `file` is created just before."""

    file: Path

    def __call__(self) -> None:
        from vaa.video import decoders

        read, main_process = decoders.PyAVDecoder.read, os.getpid()

        def killed(decoder: Any, numbers: Any) -> Any:
            if os.getpid() != main_process:
                with suppress(FileExistsError):
                    self.file.touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
            return read(decoder, numbers)

        decoders.PyAVDecoder.read = killed  # type: ignore[method-assign]


@dataclass(frozen=True)
class HangingDecoder:
    """Decoding the file `name` never ends."""

    name: str

    def __call__(self) -> None:
        from vaa.video import decoders

        read = decoders.PyAVDecoder.read

        def hanging(decoder: Any, numbers: Any) -> Any:
            if decoder._path.name == self.name:
                time.sleep(1000)
            return read(decoder, numbers)

        decoders.PyAVDecoder.read = hanging  # type: ignore[method-assign]
