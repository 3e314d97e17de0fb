"""Chunks of neighbouring queries, and a pool of Ray workers that answers them and survives the loss of a worker."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vaa import process
from vaa.engines.worker import ChunkResult
from vaa.errors import ModelError, VaaError
from vaa.models.base import WaitStats
from vaa.types import Answer, NoAnswer, Query

log = logging.getLogger("vaa")

_CHUNKS_AHEAD = 16  # chunks per worker that may be answered before an earlier one is
_MAX_LOST_IN_A_ROW = 20  # workers, with no answer in between
_START_TIMEOUT = 60.0  # seconds before a warning that the cluster starts no worker

Answers = list[Answer | NoAnswer]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive queries, from the `start`-th of all; `lost` workers ended while answering them."""

    start: int
    queries: tuple[Query, ...]
    lost: int = 0

    def retry(self, attempts: int) -> tuple[Chunk, ...]:
        """The chunks to send after another worker was lost; empty for a single query without attempts left.

        The same chunk until `attempts` workers are lost, since the cause may lie outside it. Then its halves, and
        theirs, until the query that ends every worker is alone; it gets all its attempts.
        """
        if self.lost + 1 < attempts:
            return (replace(self, lost=self.lost + 1),)
        if len(self.queries) == 1:
            return ()
        half = -(-len(self.queries) // 2)
        parts = (self.start, self.queries[:half]), (self.start + half, self.queries[half:])
        return tuple(
            Chunk(start=start, queries=part, lost=attempts - 1 if len(part) > 1 else 0) for start, part in parts
        )


def split(queries: Sequence[Query], size: int) -> Iterator[Chunk]:
    """Chunks of at most `size` queries, in order; one ends with a video if a video ends in its second half."""
    start = 0
    while start < len(queries):
        end = min(start + size, len(queries))
        ends_of_videos = (k for k in range(end, start + size // 2, -1) if _ends_video(queries, k))
        stop = next(ends_of_videos, end)
        yield Chunk(start=start, queries=tuple(queries[start:stop]))
        start = stop


def _ends_video(queries: Sequence[Query], k: int) -> bool:
    return k == len(queries) or queries[k].video != queries[k - 1].video


@dataclass(eq=False, kw_only=True)
class WorkerPool:
    """Up to `size` workers, Ray actors of `vaa.engines.worker.Worker` that `start` creates, each with one chunk.

    A chunk is tried with `attempts` workers before it is halved.
    """

    start: Callable[[], Any]
    size: int
    attempts: int
    _starting: dict[Any, Any] = field(init=False, default_factory=dict)  # reference of `ready` -> worker
    _idle: list[Any] = field(init=False, default_factory=list)
    _busy: dict[Any, tuple[Any, Chunk]] = field(init=False, default_factory=dict)  # of `answer` -> worker, chunk
    _lost_in_a_row: int = field(init=False, default=0)
    _warnings: set[str] = field(init=False, default_factory=set)
    _waits: list[WaitStats] = field(init=False, default_factory=list)

    def answer(self, chunks: Iterable[Chunk]) -> Iterator[Answer | NoAnswer]:
        """Answers in the order of the queries.

        Raises:
            VaaError: the model's own, from a worker.
            ModelError: many workers in a row were lost.
        """
        pending, answered, n_yielded = deque(chunks), dict[int, Answers](), 0
        ahead = _CHUNKS_AHEAD * self.size * max((len(chunk.queries) for chunk in pending), default=0)
        while pending or self._busy or answered:
            if not process.interrupt_requested():  # after an interrupt, only the chunks being answered are collected
                self._assign(pending, n_yielded + ahead)
            if n_yielded in answered:
                answers = answered.pop(n_yielded)
                n_yielded += len(answers)
                yield from answers
                continue
            if not self._busy:
                process.check_interrupted()
            answered.update(self._collect(pending))
        if self._waits:
            WaitStats.total(self._waits).log("Time of all workers: %s")
            self._waits.clear()

    def close(self) -> None:
        """End all workers."""
        import ray

        for worker in (*self._starting.values(), *self._idle, *(worker for worker, _ in self._busy.values())):
            ray.kill(worker)
        for workers in (self._starting, self._idle, self._busy):
            workers.clear()

    def _assign(self, pending: deque[Chunk], end: int) -> None:
        """Start a worker for each chunk, up to `size`; send idle ones the next chunks that start before `end`."""
        wanted = min(self.size, len(pending) + len(self._busy))
        while len(self._starting) + len(self._idle) + len(self._busy) < wanted:
            worker = self.start()
            self._starting[worker.ready.remote()] = worker
        while self._idle and pending and pending[0].start < end:
            worker, chunk = self._idle.pop(), pending.popleft()
            self._busy[worker.answer.remote(chunk.queries)] = worker, chunk

    def _collect(self, pending: deque[Chunk]) -> Iterator[tuple[int, Answers]]:
        """Wait until a worker is ready, has answered or is lost; yield its chunk's first index and answers."""
        import ray

        done, _ = ray.wait([*self._starting, *self._busy], num_returns=1, timeout=_START_TIMEOUT)
        if not done and not self._busy:
            log.warning("engine=ray: the cluster has started no worker yet. Are its CPUs or GPUs used by others?")
        for reference in done:
            chunk = None
            worker = self._starting.pop(reference, None)
            if worker is None:
                worker, chunk = self._busy.pop(reference)
            self._idle.append(worker)
            try:
                result: ChunkResult | VaaError | None = ray.get(reference)
            except ray.exceptions.RayTaskError as error:  # a defect: raised as if the model ran in this process
                raise error.cause from error
            except ray.exceptions.RayError as error:
                self._idle.remove(worker)
                yield from self._retry(chunk, pending, error)
                continue
            if isinstance(result, VaaError):
                raise result
            if chunk is not None and result is not None:
                self._log(result)
                self._lost_in_a_row = 0
                yield chunk.start, list(result.answers)

    def _log(self, result: ChunkResult) -> None:
        for warning in result.warnings:
            if warning not in self._warnings:  # every worker logs the same ones
                self._warnings.add(warning)
                log.warning("%s", warning)
        self._waits += result.waits

    def _retry(self, chunk: Chunk | None, pending: deque[Chunk], error: Exception) -> Iterator[tuple[int, Answers]]:
        """Put the chunk of a lost worker back, or give up its only query."""
        self._lost_in_a_row += 1
        log.debug("a worker was lost: %s", error)
        if self._lost_in_a_row >= _MAX_LOST_IN_A_ROW:
            raise ModelError(
                f"engine=ray: {self._lost_in_a_row} workers in a row ended without an answer. Is there too little "
                f"memory for the model (engine.workers, engine.gpus)? Last error: {_first_line(error)}"
            )
        if chunk is None:
            return
        chunks = chunk.retry(self.attempts)
        pending.extendleft(reversed(chunks))
        if chunks:
            log.warning("A worker was lost; its %d queries are sent again.", len(chunk.queries))
            return
        (query,) = chunk.queries
        log.error("%s, frame %d: %d workers were lost.", query.video.id, query.at, self.attempts)
        reason = f"{self.attempts} worker processes ended while answering the query for frame {query.at}"
        yield chunk.start, [NoAnswer(f"{query.video.path}: {reason}. Is the video damaged, or the memory too small?")]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
