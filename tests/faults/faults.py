"""Harm done to a run from within its own process, before it begins; small, so that they can be sent there."""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Counting:
    """No harm: each batch that is put to the model is a line of `file`, written before it is asked.

    With a file `gate`, batch number `at` and those after it are not asked before that file is there.
    """

    file: Path
    gate: Path | None = None
    at: int = 1

    def __call__(self) -> None:
        from vaa.models.transformers import batching

        put, numbers = batching._Asker._put, count(1)

        def counted(self_: Any, batch: Any, made: Any) -> Any:
            asked = [[q.video.id, q.frames, q.text] for q in batch]
            with self.file.open("a") as opened:
                opened.write(json.dumps([os.getpid(), asked]) + "\n")
            if self.gate and next(numbers) >= self.at:
                _wait_for(self.gate)
            return put(self_, batch, made)

        batching._Asker._put = counted  # type: ignore[method-assign]


def _wait_for(file: Path) -> None:
    """A test that failed makes no file, and its run goes on after five minutes."""
    end = time.monotonic() + 300.0
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.01)


@dataclass(frozen=True)
class OutOfMemory:
    """The model's memory holds `most` questions at once, as an accelerator would say it."""

    most: int

    def __call__(self) -> None:
        import torch

        from vaa.models.transformers import batching

        generate = batching.generate

        def limited(held: Any, ready: Any, *rest: Any) -> Any:
            if len(ready) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")
            return generate(held, ready, *rest)

        batching.generate = limited


@dataclass(frozen=True)
class Backwards:
    """The clock jumps an hour back, then a day on, then back again, at every look."""

    def __call__(self) -> None:
        true, looks = time.time, iter(range(10**9))
        time.time = lambda: true() + (-3600.0, 86400.0, 0.0)[next(looks) % 3]


@dataclass(frozen=True)
class ShortFiles:
    """No file may be longer than `most` bytes: EFBIG, as a full disk is ENOSPC."""

    most: int

    def __call__(self) -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.most, self.most))


@dataclass(frozen=True)
class Nobody:
    """The run is not root's: permissions count."""

    def __call__(self) -> None:
        os.setgid(65534)
        os.setuid(65534)


@dataclass(frozen=True)
class Impatient:
    """A memo that is locked is waited for `seconds`, not a minute."""

    seconds: float

    def __call__(self) -> None:
        from vaa import cache

        cache._PATIENCE = self.seconds


@dataclass(frozen=True)
class Hanging:
    """The decoder never gives a frame of the file called `name`; it is waited for `seconds`."""

    name: str
    seconds: float

    def __call__(self) -> None:
        from vaa.video import decoders, sources

        sources.DECODE_TIMEOUT = self.seconds
        read = decoders.DecordDecoder.read

        def hanging(decoder: Any, numbers: Any) -> Any:
            if decoder._path.name == self.name:
                time.sleep(1000)
            return read(decoder, numbers)

        decoders.DecordDecoder.read = hanging  # type: ignore[method-assign]
