"""Queries answered by vLLM: requests are added while their frames are decoded, and answers are given in order."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from vaa import process
from vaa.errors import ModelError
from vaa.generation import GenerationConfig
from vaa.models.base import WaitStats
from vaa.models.vllm.engine import EngineLostError, refusals
from vaa.models.vllm.requests import Failed, Request, Task, VllmModel, make_task
from vaa.types import ChatQuery, NoAnswer
from vaa.video.prefetch import FramePrefetcher, Prepared, PreparedBatch, default_workers

log = logging.getLogger("vaa")
_BATCH = 8
"""Queries whose frames are decoded together; vLLM itself decides what it runs at a time."""
_MAX_RUNNING = 128
"""Unfinished queries, whose frames are in memory."""


def answer_queries(
    load: Callable[[], VllmModel],
    queries: Sequence[ChatQuery],
    generation: GenerationConfig,
    decoder: str,
    workers: int | None,
) -> Iterator[Any]:
    """Yield answers in order; NoAnswer for a query that is too long or whose frames cannot be decoded.

    Frames are prepared in `workers` other processes (None: as many as the machine has to spare) if there are enough.

    Raises:
        ModelError: the engine has ended or hangs, or refuses a query. In the first two cases answers that were complete
            are yielded before.
    """
    model, begin = load(), time.perf_counter()
    with_frames = sum(bool(query.frames) for query in queries)
    wanted = default_workers() if workers is None else workers
    used = wanted if with_frames > 2 * _BATCH else 0
    prepare = model.frames.prepare if model.frames else _no_frames
    prefetcher = FramePrefetcher[ChatQuery](prepare=prepare, decoder=decoder, workers=used, readahead=not used)
    runner = _Runner(model, generation)
    batches = (tuple(queries[first : first + _BATCH]) for first in range(0, len(queries), _BATCH))
    try:
        with prefetcher:
            for batch in prefetcher.stream(batches):
                yield from runner.add(batch)
        yield from runner.finish()
    except (EngineLostError, KeyboardInterrupt) as error:
        yield from runner.flush(str(error))
        process.check_interrupted()  # Control-C ends vLLM's processes too
        if isinstance(error, KeyboardInterrupt):
            raise
        model.release()
        raise ModelError(
            f"backend=vllm: the engine is lost: {error}. All answers so far are cached: run the same command to "
            "continue. vLLM's own messages are above; if memory ran out, set a smaller vllm.memory or vllm.max_length."
        ) from error
    finally:
        runner.abort()
    if with_frames:
        WaitStats(len(queries), "queries", time.perf_counter() - begin, prefetcher.waited).log()


def _no_frames(queries: Sequence[ChatQuery], _frames: Any) -> Prepared:
    return Prepared({}, [()] * len(queries))


@dataclass(eq=False)
class _Runner:
    """The queries that are answered at a time."""

    model: VllmModel
    generation: GenerationConfig
    _tasks: deque[Task] = field(init=False, default_factory=deque)
    _requests: dict[str, tuple[Task, int]] = field(init=False, default_factory=dict)
    _names: Iterator[str] = field(init=False, default_factory=lambda: map(str, count()))

    def add(self, batch: PreparedBatch[ChatQuery]) -> Iterator[Any]:
        """Start the queries of a batch; yield the answers that are complete."""
        names = iter(batch.prepared.extra or ())
        for k, query in enumerate(batch.queries):
            if k in batch.errors:
                self._tasks.append(Failed(answer=NoAnswer(batch.errors[k])))
                continue
            images = {name: batch.prepared.arrays[name] for name in next(names)}
            try:
                task = make_task(self.model, query, images, self.generation)
                self._start(task, task.first())
            except refusals() as error:  # vLLM's own limits, such as a temperature of 2
                reason = str(error).splitlines()[0]
                raise ModelError(f"backend=vllm: vLLM refuses the {query.purpose} query: {reason}") from error
            self._tasks.append(task)
        while len(self._tasks) >= _MAX_RUNNING and self._tasks[0].answer is None:
            self._step()
        for _ in range(self.model.engine.waiting):
            self._step()
        yield from self._ready()

    def finish(self) -> Iterator[Any]:
        """Yield the remaining answers."""
        while self._tasks:
            yield from self._ready()
            if self._tasks:
                process.check_interrupted()
                self._step()

    def flush(self, reason: str) -> Iterator[Any]:
        """Yield the answers up to the last complete one, with NoAnswer for the others among them."""
        while any(task.answer is not None for task in self._tasks):
            answer = self._tasks.popleft().answer
            yield NoAnswer(reason) if answer is None else answer

    def abort(self) -> None:
        """Stop all requests."""
        self.model.engine.abort(list(self._requests))
        self._requests.clear()

    def _ready(self) -> Iterator[Any]:
        while self._tasks and self._tasks[0].answer is not None:
            yield self._tasks.popleft().answer

    def _step(self) -> None:
        """Wait for outputs and take them."""
        for output in self.model.engine.step():
            known = self._requests.get(output.request_id)
            if known is None:
                continue
            task, number = known
            if output.finished:
                del self._requests[output.request_id]
            self._start(task, task.receive(number, output))
            if task.answer is not None and not output.finished:
                self.model.engine.abort([output.request_id])
                del self._requests[output.request_id]

    def _start(self, task: Task, requests: Iterator[Request]) -> None:
        """Send requests of a task."""
        for request in requests:
            name = next(self._names)
            self._requests[name] = task, request.number
            self.model.engine.add(name, request.prompt, request.params)
