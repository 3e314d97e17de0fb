"""The frames of queries, decoded and prepared in other processes before they are needed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from vaa import process
from vaa.errors import VaaError, VideoError
from vaa.types import Pixels, Query
from vaa.video import shared_memory, sources
from vaa.video.shared_memory import ArrayFile, Arrays

log = logging.getLogger("vaa")

_POLL_INTERVAL = 0.02
"""Seconds between two checks of the processes; ending them takes one or two of these."""
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, a folder of our own is created in it

Job = TypeVar("Job")
Q = TypeVar("Q", bound=Query)
Frames = Sequence[Pixels]


@dataclass(frozen=True)
class Prepared:
    """Arrays by name, which are passed through shared memory, and other results, which are pickled."""

    arrays: Arrays
    extra: Any = None


@dataclass(frozen=True)
class WorkerLost:
    """In the place of a result: why the process that should compute it ended."""

    reason: str


@dataclass(eq=False, kw_only=True)
class DecodePool(Generic[Job]):
    """Does `work` on jobs in other processes; with 0 workers in this one, when the result is taken.

    Processes are forked, so `work` need not be picklable, and end with the `with` block. `timeout` is in seconds.
    """

    work: Callable[[Job], Prepared]
    workers: int
    timeout: float
    _pool: Any = field(init=False, default=None)
    _folders: list[str] = field(init=False, default_factory=list)
    _jobs: dict[Future[Any], Job] = field(init=False, default_factory=dict)

    def __enter__(self) -> DecodePool[Job]:
        if self.workers:
            roots = [str(_SHARED_MEMORY)] * os.access(_SHARED_MEMORY, os.W_OK) + [tempfile.gettempdir()]
            for root in roots:
                _remove_orphans(Path(root))
                self._folders.append(tempfile.mkdtemp(prefix=f"vaa-{os.getpid()}-", dir=root))
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def submit(self, job: Job) -> Job | Future[Any]:
        """Schedule a job; `result` takes the handle that this returns."""
        if self._pool is None:
            return job
        future = self._schedule(job)
        self._jobs[future] = job
        return future

    def result(self, handle: Job | Future[Any]) -> Prepared | WorkerLost:
        """The result of a job. If its process died, it is tried a second time: the cause may lie elsewhere."""
        if not isinstance(handle, Future):
            return self.work(handle)
        from pebble import ProcessExpired

        job = self._jobs.pop(handle)
        for future in (handle, None):
            try:
                files, extra = (future or self._schedule(job)).result()
            except TimeoutError:
                return WorkerLost(sources.timeout_reason(self.timeout))
            except (ProcessExpired, BrokenExecutor) as error:
                lost = WorkerLost(f"ended its process twice ({error}). Does it play?")
            else:
                return Prepared(shared_memory.load(files), extra)
        return lost

    def close(self) -> None:
        """Let processes end after their last job; a later `submit` starts new ones."""
        if self._pool is not None:
            self._pool.close()

    def busy(self) -> int:
        """How many processes are working."""
        return min(self.workers, sum(not future.done() for future in self._jobs))

    def _start(self) -> None:
        from pebble import CONSTS, ProcessPool

        CONSTS.sleep_unit = _POLL_INTERVAL
        process.protect_forks()
        context, arguments = multiprocessing.get_context("fork"), (self.work, self._folders)
        self._pool = ProcessPool(self.workers, context=context, initializer=_initialize, initargs=arguments)

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    def _schedule(self, job: Job) -> Future[Any]:
        """Schedule a job; a pool that is closed, or whose idle processes were all killed, is replaced."""
        for _ in range(3):
            with suppress(RuntimeError):
                future: Future[Any] = self._pool.schedule(_work_in_process, args=[job], timeout=self.timeout)
                return future
            self._stop()
            self._start()
        raise VaaError("The processes that decode end when they start. Set workers=0, or find out what kills them.")


Prepare = Callable[[Sequence[Q], Sequence[Frames]], Prepared]
"""Turns queries and the frames of each into what a model needs of them."""


@dataclass(frozen=True)
class PreparedBatch(Generic[Q]):
    """A batch of queries whose frames are ready.

    Attributes:
        queries: All queries of the batch.
        prepared: The result of `prepare` for those with frames.
        errors: Why there are no frames, by index in `queries`.
    """

    queries: Sequence[Q]
    prepared: Prepared
    errors: Mapping[int, str]

    @property
    def usable(self) -> list[Q]:
        """The queries whose frames are ready."""
        return [query for k, query in enumerate(self.queries) if k not in self.errors]


@dataclass(eq=False, kw_only=True)
class FramePrefetcher(Generic[Q]):
    """Decodes and prepares the frames of batches of queries ahead of their use.

    Attributes:
        prepare: What to do with decoded frames, in the process that decoded them.
        decoder: The video decoder.
        workers: The number of processes; with 0, frames are prepared here when they are needed.
        readahead: Whether the decoder may decode further frames in the background after each batch.
        waited: Seconds spent waiting for frames so far.
    """

    prepare: Prepare[Q]
    decoder: str
    workers: int
    readahead: bool
    waited: float = field(init=False, default=0.0)
    _pool: DecodePool[Sequence[Q]] = field(init=False)

    def __enter__(self) -> FramePrefetcher[Q]:
        work = partial(_prepare_batch, self.prepare, self.decoder, self.readahead)
        self._pool = DecodePool(work=work, workers=self.workers, timeout=process.decode_timeout())
        self._pool.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.__exit__()

    def stream(self, batches: Iterable[Sequence[Q]]) -> Iterator[PreparedBatch[Q]]:
        """Yield batches in order; `workers` + 1 are taken from `batches` in advance."""
        remaining, pending = iter(batches), deque[tuple[Sequence[Q], Any]]()
        while True:
            while len(pending) <= self.workers and (batch := next(remaining, None)) is not None:
                pending.append((batch, self._pool.submit(batch)))
            if not pending:
                return
            process.check_interrupted()
            batch, handle = pending.popleft()
            if not pending:
                self._pool.close()
            yield self._result(batch, handle)

    def get(self, batch: Sequence[Q]) -> PreparedBatch[Q]:
        """Prepare one batch that was not prepared in advance."""
        return self._result(batch, self._pool.submit(batch))

    def busy(self) -> int:
        """How many processes are working."""
        return self._pool.busy()

    def _result(self, batch: Sequence[Q], handle: Any) -> PreparedBatch[Q]:
        start = time.perf_counter()
        result = self._pool.result(handle)
        if isinstance(result, WorkerLost):
            result = self._without_broken_videos(batch, result)
        self.waited += time.perf_counter() - start
        extra, errors = result.extra
        return PreparedBatch(batch, Prepared(result.arrays, extra), errors)

    def _without_broken_videos(self, batch: Sequence[Q], lost: WorkerLost) -> Prepared:
        """Find the videos that end their process, and prepare the batch without them."""
        videos = list(dict.fromkeys(query.video.path for query in batch if query.frames))
        broken = dict.fromkeys(videos, lost.reason)
        if len(videos) > 1:
            log.warning("Decoding %d videos %s Each is tried alone.", len(videos), lost.reason)
            for path in videos:
                own = [query for query in batch if query.frames and query.video.path == path]
                result = self._pool.result(self._pool.submit(own))
                if not isinstance(result, WorkerLost):
                    del broken[path]
        for path, reason in broken.items():
            log.error("%s: decoding it %s", path, reason)
        errors = {
            k: f"{query.video.path}: decoding it {broken[query.video.path]}"
            for k, query in enumerate(batch)
            if query.frames and query.video.path in broken
        }
        rest = [k for k in range(len(batch)) if k not in errors]
        if not rest:
            return Prepared({}, (None, errors))
        result = self._pool.result(self._pool.submit([batch[k] for k in rest]))
        if isinstance(result, WorkerLost):
            return Prepared({}, (None, errors | dict.fromkeys(rest, f"decoding its batch {result.reason}")))
        extra, own_errors = result.extra
        return Prepared(result.arrays, (extra, errors | {rest[k]: error for k, error in own_errors.items()}))


def _prepare_batch(prepare: Prepare[Q], decoder: str, readahead: bool, queries: Sequence[Q]) -> Prepared:
    """Decode and prepare a batch; `extra` is that of `prepare`, and the errors."""
    frames, errors = decode_frames(queries, decoder)
    usable = [k for k in range(len(queries)) if k not in errors]
    if not readahead:
        for video in {queries[k].video for k in usable if queries[k].frames}:
            sources.stop_readahead(video, decoder)
    if not usable:
        return Prepared({}, (None, errors))
    result = prepare([queries[k] for k in usable], [frames[k] for k in usable])
    return Prepared(result.arrays, (result.extra, errors))


def decode_frames(queries: Sequence[Query], decoder: str) -> tuple[dict[int, Frames], dict[int, str]]:
    """Decode the frames of queries, each frame of a video once: frames, or an error, by the query's index."""
    frames: dict[int, Frames] = {k: [] for k, query in enumerate(queries) if not query.frames}
    errors: dict[int, str] = {}
    by_video: dict[Path, list[int]] = {}
    for k, query in enumerate(queries):
        if query.frames:
            by_video.setdefault(query.video.path, []).append(k)
    for indices in by_video.values():
        numbers = sorted({number for k in indices for number in queries[k].frames})
        try:
            pixels = dict(zip(numbers, sources.frames(queries[indices[0]].video, numbers, decoder), strict=True))
            frames |= {k: [pixels[number] for number in queries[k].frames] for k in indices}
        except VideoError as error:
            if len(indices) == 1:
                errors[indices[0]] = str(error)
                continue
            for k in indices:  # the frames of some queries may be intact
                own_frames, own_errors = decode_frames([queries[k]], decoder)
                frames |= {k: own_frames[0]} if own_frames else {}
                errors |= {k: own_errors[0]} if own_errors else {}
    return frames, errors


def _remove_orphans(root: Path) -> None:
    """Remove the folders of killed runs."""
    for folder in root.glob("vaa-[0-9]*-*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):  # another user's, or another program's
            continue


_work: Callable[[Any], Prepared] | None = None


def _initialize(work: Callable[[Any], Prepared], folders: list[str]) -> None:
    """In a new process: torch must not use the threads of the process it was forked from."""
    global _work
    _work = work
    shared_memory.share_through(folders)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _work_in_process(job: Any) -> tuple[dict[str, ArrayFile], Any]:
    assert _work is not None  # noqa: S101, set by _initialize
    result = _work(job)
    return shared_memory.store(result.arrays), result.extra


@cache
def default_workers() -> int:
    """Processes beside a model on this machine: the number of cores minus one, from 1 to 8."""
    return max(1, min(8, (os.cpu_count() or 2) - 1))
