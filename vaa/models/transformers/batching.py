"""Batches of queries for a local model: as large as its memory allows, their frames prepared in advance."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vaa.errors import ModelError
from vaa.generation import GenerationConfig
from vaa.models.base import WaitStats
from vaa.models.transformers.choices import choose, frame_key
from vaa.models.transformers.families import FrameProcessor, VisionInputs
from vaa.models.transformers.generation import generate
from vaa.models.transformers.loaded_model import LoadedModel
from vaa.models.transformers.loading import free_memory
from vaa.models.transformers.memory import CpuSharing, GpuMemoryMeter
from vaa.types import ChatQuery, ChooseQuery, Floats, GenerateQuery, NoAnswer
from vaa.video.prefetch import FramePrefetcher, Frames, Prepared, PreparedBatch, default_workers

log = logging.getLogger("vaa")

Answers = list[Any]  # str or Floats, or NoAnswer
_MIN_BATCHES = 2
"""Batches with frames above which it is worth starting other processes."""
_FIRST_SHARES = (0.25, 0.5)
"""Sizes of the first two batches, as shares of the full size, so that the model waits less for their frames."""


def answer_in_batches(
    load: Callable[[], LoadedModel],
    queries: Sequence[ChatQuery],
    generation: GenerationConfig,
    decoder: str,
    workers: int | None,
) -> Iterator[Any]:
    """Yield answers in order; NoAnswer for a query whose frames cannot be decoded.

    Frames are prepared in `workers` other processes (None: as many as the machine has to spare) if there are enough.
    """
    loaded, start = load(), time.perf_counter()
    with_frames = sum(bool(query.frames) for query in queries)
    wanted = default_workers() if workers is None else workers
    used = wanted if with_frames > _MIN_BATCHES * loaded.batch_size else 0
    prefetcher = FramePrefetcher[ChatQuery](
        prepare=partial(prepare_inputs, loaded.frame_processor),
        decoder=decoder,
        workers=used,
        readahead=not used,  # in another process it would take the model's cores, for frames that may not be needed
    )
    with prefetcher, CpuSharing(loaded.model, prefetcher.busy):
        runner = _BatchRunner(loaded, generation, prefetcher)
        for batch in prefetcher.stream(_batches(queries, loaded, _FIRST_SHARES if used else ())):
            yield from runner.answer(batch)
    if with_frames:
        WaitStats(len(queries), "queries", time.perf_counter() - start, prefetcher.waited).log()


def prepare_inputs(
    processor: FrameProcessor | None, queries: Sequence[ChatQuery], frames: Sequence[Frames]
) -> Prepared:
    """Prepare the frames of a batch; `extra` is the number of visual tokens of each frame.

    Frames are those of all queries in order; for ChooseQueries those of equal keys are prepared once.
    """
    if isinstance(queries[0], ChooseQuery):
        frames = list({frame_key(query): own for query, own in zip(queries, frames, strict=True)}.values())
    flat = [frame for own in frames for frame in own]
    counts = [len(own) for own in frames]
    inputs = processor.prepare(flat, counts) if processor is not None and flat else VisionInputs({}, ())
    return Prepared({name: tensor.numpy() for name, tensor in inputs.tensors.items()}, inputs.tokens)


def _batches(
    queries: Sequence[ChatQuery], loaded: LoadedModel, first_shares: Sequence[float]
) -> Iterator[Sequence[ChatQuery]]:
    """Divide queries into batches of one type, of the current batch size.

    ChooseQueries about the same frames stay together, unless that exceeded the memory before.
    """
    shares, start = iter(first_shares), 0
    while start < len(queries):
        kind, limit = type(queries[start]), loaded.batch_size_for(queries[start])
        size, end = limit.size * next(shares, 1.0), start + 1
        while end < len(queries) and type(queries[end]) is kind:
            key = frame_key(queries[end])
            shared = kind is ChooseQuery and key is not None and key == frame_key(queries[end - 1])
            if end - start >= size and (limit.limited or not shared):
                break
            end += 1
        yield tuple(queries[start:end])
        start = end


@dataclass(frozen=True, eq=False)
class _BatchRunner:
    """Runs the model on prepared batches."""

    loaded: LoadedModel
    generation: GenerationConfig
    prefetcher: FramePrefetcher[ChatQuery]

    def answer(self, batch: PreparedBatch[ChatQuery]) -> Answers:
        """Return the answers in order; a batch that exceeds the memory is run again in halves."""
        answers = self._try(batch)
        if answers is not None:
            return answers
        free_memory()  # only here, since the error's traceback referenced the tensors
        queries = batch.queries
        self.loaded.batch_size_for(queries[0]).reduce(failed=len(queries))
        half = max(1, len(queries) // 2)
        parts = [queries[first : first + half] for first in range(0, len(queries), half)]
        return [answer for part in parts for answer in self.answer(self.prefetcher.get(part))]

    def _try(self, batch: PreparedBatch[ChatQuery]) -> Answers | None:
        """Return the answers, or None if the batch exceeds the memory.

        Raises:
            ModelError: a single query exceeds it.
        """
        import torch

        usable, prepared = batch.usable, batch.prepared
        tensors = {name: torch.from_numpy(array) for name, array in prepared.arrays.items()}
        try:
            with GpuMemoryMeter(self.loaded.model) as memory:
                inputs = self.loaded.to_device(VisionInputs(tensors, prepared.extra or ()))
                answers = iter(self._run(usable, inputs) if usable else ())
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(usable) == 1:
                raise ModelError(
                    f"Out of memory with a single query ({usable[0].purpose}, {len(usable[0].frames)} frames): show "
                    "fewer frames, or set quantization=nf4, a smaller max_pixels or another device_map for the model."
                ) from error
            return None
        if not isinstance(batch.queries[0], ChooseQuery):  # `choose` divides its batches, so larger ones gain nothing
            self.loaded.batch_size_for(batch.queries[0]).record(len(batch.queries), memory.share)
        errors = batch.errors
        return [NoAnswer(errors[k]) if k in errors else next(answers) for k in range(len(batch.queries))]

    def _run(self, queries: Sequence[ChatQuery], inputs: VisionInputs) -> Sequence[str | Floats]:
        choose_queries = [query for query in queries if isinstance(query, ChooseQuery)]
        if choose_queries:
            return choose(self.loaded, choose_queries, inputs)
        generate_queries = [query for query in queries if isinstance(query, GenerateQuery)]
        return generate(self.loaded, generate_queries, inputs, self.generation)


def _is_out_of_memory(error: Exception) -> bool:
    """Torch has an exception for an accelerator's memory, but only messages for the CPU's and for libraries'."""
    import torch

    messages = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in messages)
