"""Work done beside the model, in other processes: what is decoded there comes back through shared memory."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from vaa import process
from vaa.errors import VaaError
from vaa.models.base import WaitStats
from vaa.video import shared_memory
from vaa.video.shared_memory import Arrays, Places

_SHARED = Path("/dev/shm")  # noqa: S108, a folder of our own is made in it
DECODE_TIMEOUT = 300.0
"""Seconds for one piece of work in another process; a decoder that hangs is stopped after them."""
_BEAT = 0.02
"""Seconds between two looks at the processes; their end takes one or two of them."""

Job = TypeVar("Job")
Made = tuple[Arrays, Any]
"""Arrays by name, and what else there is to say; the latter is pickled, so it should be small."""


@dataclass(frozen=True)
class WorkerLost:
    """In the place of what was to be made: why the process that was to make it ended."""

    reason: str


@dataclass
class WaitTimer:
    """Seconds since the start, and how many of them were spent waiting for what others make."""

    began: float = field(default_factory=time.perf_counter)
    waited: float = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What happens within is waiting."""
        since = time.perf_counter()
        yield
        self.waited += time.perf_counter() - since

    def told(self, count: int, what: str) -> WaitStats:
        """So far."""
        return WaitStats(count, what, time.perf_counter() - self.began, self.waited)


@dataclass(eq=False)
class DecodePool(Generic[Job]):
    """Does `work` on jobs in `workers` processes, in the order they are taken; with 0 workers here, when it is taken.

    Processes are forked with the work in hand and end with the `with` block. `patience` is in seconds.
    """

    work: Callable[[Job], Made]
    workers: int
    patience: float
    _pool: Any = field(init=False, default=None)
    _folders: list[str] = field(init=False, default_factory=list)
    _jobs: dict[Future[Any], Job] = field(init=False, default_factory=dict)

    def __enter__(self) -> DecodePool[Job]:
        if self.workers:
            roots = [str(_SHARED)] * os.access(_SHARED, os.W_OK) + [tempfile.gettempdir()]
            for root in roots:
                _sweep(Path(root))
                self._folders.append(tempfile.mkdtemp(prefix=f"vaa-{os.getpid()}-", dir=root))
            self._fork()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, job: Job) -> Job | Future[Any]:
        """Have the job done; give what this returns to `take`."""
        if self._pool is None:
            return job
        future = self._schedule(job)
        self._jobs[future] = job
        return future

    def take(self, put: Job | Future[Any]) -> Made | WorkerLost:
        """What was made of a job; one whose process died is done once more: that may have had reasons of its own."""
        if not isinstance(put, Future):
            return self.work(put)
        from pebble import ProcessExpired

        job = self._jobs.pop(put)
        for future in (put, None):
            try:
                places, extra = (future or self._schedule(job)).result()
            except TimeoutError:
                return WorkerLost(f"took longer than {self.patience:.0f} s and was stopped")
            except (ProcessExpired, BrokenExecutor) as error:
                lost = WorkerLost(f"ended the process that did it, twice ({error})")
            else:
                return shared_memory.mapped(places), extra
        return lost

    def close(self) -> None:
        """No more is to come, as far as is known: processes end beside what is done with their last work."""
        if self._pool is not None:
            self._pool.close()

    def busy(self) -> int:
        """How many processes are at work."""
        return min(self.workers, sum(not future.done() for future in self._jobs))

    def _fork(self) -> None:
        from pebble import CONSTS, ProcessPool

        CONSTS.sleep_unit = _BEAT
        process.protect_forks()
        context, given = multiprocessing.get_context("fork"), (self.work, self._folders)
        self._pool = ProcessPool(self.workers, context=context, initializer=_begin, initargs=given)

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    def _schedule(self, job: Job) -> Future[Any]:
        """A pool all of whose idle processes were killed gives up: then another takes its place."""
        for _ in range(3):
            with suppress(RuntimeError):
                future: Future[Any] = self._pool.schedule(_do, args=[job], timeout=self.patience)
                return future
            self._end()
            self._fork()
        raise VaaError("The processes that decode end as soon as they begin: give workers=0, or see what kills them.")


def _sweep(root: Path) -> None:
    """Remove what a killed process of ours left in there."""
    for folder in root.glob("vaa-[0-9]*-*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):  # somebody else's
            continue


_work: Callable[[Any], Made] | None = None


def _begin(work: Callable[[Any], Made], folders: list[str]) -> None:
    """In a new process: threads of the process it was forked from do not live here, so torch may use none."""
    global _work
    _work = work
    shared_memory.begin(folders)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _do(job: Any) -> tuple[Places, Any]:
    """In another process."""
    assert _work is not None  # noqa: S101, set when the process began
    arrays, extra = _work(job)
    return shared_memory.stored(arrays), extra


@cache
def spare() -> int:
    """Processes to put beside a model on this machine: one a core but one, at most 8."""
    return max(1, min(8, (os.cpu_count() or 2) - 1))
