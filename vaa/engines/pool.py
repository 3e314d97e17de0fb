"""Workers of one model: chunks are dealt to those that are free, and again when a worker is lost."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from vaa import process
from vaa.engines.chunks import Chunk
from vaa.engines.worker import WorkerAnswers, WorkerError
from vaa.errors import VaaError
from vaa.models.base import WaitStats
from vaa.types import Answer, NoAnswer

log = logging.getLogger("vaa")

_AHEAD = 16  # chunks a worker that may be answered before those in front of them are
_HOPELESS = 20  # workers lost in a row, with no answer in between
_MINUTE = 60.0

Answers = list[Answer | NoAnswer]


@dataclass(eq=False)
class WorkerPool:
    """`size` workers that `start` makes, each a Ray actor of `vaa.engines.worker.Worker`, one chunk in hand each."""

    start: Callable[[], Any]
    size: int
    attempts: int
    _starting: dict[Any, Any] = field(init=False, default_factory=dict)
    _free: list[Any] = field(init=False, default_factory=list)
    _busy: dict[Any, tuple[Any, Chunk]] = field(init=False, default_factory=dict)
    _lost: int = field(init=False, default=0)
    _warned: set[str] = field(init=False, default_factory=set)
    _waited: list[WaitStats] = field(init=False, default_factory=list)

    def ask(self, chunks: Iterable[Chunk]) -> Iterator[Answer | NoAnswer]:
        """Answers in the order of the questions.

        Raises:
            VaaError: a worker says what a person has to mend, or one worker after another is lost.
        """
        waiting, done, given = deque(chunks), dict[int, Answers](), 0
        ahead = _AHEAD * self.size * max((len(chunk.queries) for chunk in waiting), default=0)
        while waiting or self._busy or done:
            if not process.interrupt_requested():  # else what is under way is taken in, and no more
                self._deal(waiting, given + ahead)
            if given in done:
                answers = done.pop(given)
                given += len(answers)
                yield from answers
                continue
            if not self._busy:
                process.check_interrupted()
            done.update(self._collect(waiting))
        if self._waited:
            log.info("The workers' time, added up: %s", WaitStats.together(self._waited))
            self._waited.clear()

    def close(self) -> None:
        """End all workers."""
        import ray

        for worker in (*self._starting.values(), *self._free, *(worker for worker, _ in self._busy.values())):
            ray.kill(worker)
        for held in (self._starting, self._free, self._busy):
            held.clear()

    def _deal(self, waiting: deque[Chunk], end: int) -> None:
        """As many workers as there is work for; to each that is free the next chunk that starts before `end`."""
        missing = min(self.size, len(waiting) + len(self._busy))
        while len(self._starting) + len(self._free) + len(self._busy) < missing:
            worker = self.start()
            self._starting[worker.ready.remote()] = worker
        while self._free and waiting and waiting[0].start < end:
            worker, chunk = self._free.pop(), waiting.popleft()
            self._busy[worker.answer.remote(chunk.queries)] = worker, chunk

    def _collect(self, waiting: deque[Chunk]) -> Iterator[tuple[int, Answers]]:
        """Wait until something has happened; where answers are there, the number of the first and all of them."""
        import ray

        happened, _ = ray.wait([*self._starting, *self._busy], num_returns=1, timeout=_MINUTE)
        if not happened and not self._busy:
            log.warning("engine=ray: no worker has found room yet. Is the cluster taken by others?")
        for ref in happened:
            chunk = None
            worker = self._starting.pop(ref, None)
            if worker is None:
                worker, chunk = self._busy.pop(ref)
            self._free.append(worker)
            try:
                said = ray.get(ref)
            except ray.exceptions.RayTaskError as error:  # a defect: as it would end the run if the model were here
                raise error.cause from error
            except ray.exceptions.RayError as error:
                self._free.remove(worker)
                yield from self._bereaved(chunk, waiting, error)
            else:
                yield from self._heard(chunk, said)

    def _heard(self, chunk: Chunk | None, said: WorkerAnswers | WorkerError | None) -> Iterator[tuple[int, Answers]]:
        if isinstance(said, WorkerError):
            raise VaaError(said.message)
        if chunk is None or said is None:
            return
        for warning in said.warnings:
            if warning not in self._warned:  # each worker meets the same
                self._warned.add(warning)
                log.warning("%s", warning)
        self._waited += said.waited
        self._lost = 0
        yield chunk.start, list(said.answers)

    def _bereaved(self, chunk: Chunk | None, waiting: deque[Chunk], error: Exception) -> Iterator[tuple[int, Answers]]:
        """A worker is lost: its questions are asked again, unless they are what it was lost over."""
        self._lost += 1
        log.debug("a worker was lost: %s", error)
        if self._lost >= _HOPELESS:
            raise VaaError(
                f"engine=ray: {self._lost} workers in a row ended before they could answer. Is the memory too small "
                f"for the model (engine.workers, engine.gpus)? The last one: {_first_line(error)}"
            )
        if chunk is None:
            return
        again = chunk.again(self.attempts)
        waiting.extendleft(reversed(again))
        if again:
            log.warning("A worker was lost over %d questions; they are asked again.", len(chunk.queries))
            return
        (query,) = chunk.queries
        log.error("%s, frame %d: %d workers were lost over it.", query.video.id, query.at, self.attempts)
        reason = f"the process that was asked about frame {query.at} ended, {self.attempts} times over"
        yield chunk.start, [NoAnswer(f"{query.video.path}: {reason}. Does it play? Does the memory suffice?")]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
