"""Questions put to a local model: as many at once as it has memory for, the next ones' frames prepared meanwhile."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vaa import process
from vaa.errors import VaaError, VideoError
from vaa.models.transformers import loading
from vaa.models.transformers.choices import choose, frame_key
from vaa.models.transformers.cpu import CpuSharing
from vaa.models.transformers.families import VisionInputs
from vaa.models.transformers.generation import GenerationConfig, generate
from vaa.models.transformers.loaded import FrameProcessor, LoadedModel
from vaa.models.transformers.memory import GpuMemoryMeter
from vaa.types import Answer, ChatQuery, ChooseQuery, GenerateQuery, NoAnswer, Pixels
from vaa.video import prefetch, sources
from vaa.video.prefetch import DecodePool, WaitTimer, WorkerLost

log = logging.getLogger("vaa")

Batch = tuple[ChatQuery, ...]
_WORTH = 2  # so many batches with frames are worth other processes
_FIRST = (0.25, 0.5)  # of a whole batch have the first two, so that the model need not wait long for their frames


def answers(
    load: Callable[[], LoadedModel],
    queries: Sequence[ChatQuery],
    sampling: GenerationConfig,
    decoder: str,
    workers: int | None,
) -> Iterator[Any]:
    """Ask and yield in order; a question whose frames cannot be decoded is Unanswered, the others go on.

    `workers` processes prepare frames (None: as many as the machine has to spare) where it is worth starting them.
    """
    held, watch, start, line = load(), WaitTimer(), 0, deque[tuple[Batch, Any]]()
    hands = _hands(queries, held, workers)
    shares = iter(_FIRST if hands else ())
    feeder = DecodePool(partial(prepare, held.eye, decoder, resting=hands > 0), hands, prefetch.DECODE_TIMEOUT)
    with feeder, CpuSharing(held.model, feeder.busy):
        while start < len(queries) or line:
            while start < len(queries) and len(line) <= feeder.workers:
                batch = tuple(queries[start : _end(queries, start, held, next(shares, 1.0))])
                start += len(batch)
                line.append((batch, feeder.put(batch)))
            process.check_interrupted()
            batch, coming = line.popleft()
            if not line:
                feeder.close()
            yield from _Asker(held, sampling, feeder, watch).ask(batch, coming)
    if any(query.frames for query in queries):
        log.info("%s", watch.told(len(queries), "questions"))


def prepare(eye: FrameProcessor | None, decoder: str, batch: Batch, resting: bool = False) -> prefetch.Made:
    """Decode a batch's frames and show them to the eye: each video in one forward pass, the same frames once.

    With the arrays go the number of tokens of each frame, and why a question's frames cannot be had (by its place).
    `resting`, nothing is decoded ahead: beside a model that would take its cores, and the next batch may lie elsewhere.
    """
    shown, refused = _decoded(batch, decoder)
    for own in {q.video for k, q in enumerate(batch) if resting and q.frames and k not in refused}:
        sources.stop_readahead(own, decoder)
    whole = [k for k in range(len(batch)) if k not in refused]
    once = {frame_key(batch[k]): shown[k] for k in whole}
    rows = list(once.values()) if isinstance(batch[0], ChooseQuery) else [shown[k] for k in whole]
    frames = [frame for row in rows for frame in row]
    seen = eye.see(frames) if eye is not None and frames else VisionInputs({}, ())
    return {name: value.numpy() for name, value in seen.inputs.items()}, (seen.tokens, refused)


def _decoded(batch: Batch, decoder: str) -> tuple[dict[int, list[Pixels]], dict[int, str]]:
    """By place in the batch: a question's frames, or why they cannot be decoded."""
    shown: dict[int, list[Pixels]] = {k: [] for k, query in enumerate(batch) if not query.frames}
    refused: dict[int, str] = {}
    for path in dict.fromkeys(query.video.path for query in batch if query.frames):
        own = {k: query for k, query in enumerate(batch) if query.frames and query.video.path == path}
        numbers = sorted({number for query in own.values() for number in query.frames})
        try:
            pixels = dict(zip(numbers, sources.frames(next(iter(own.values())).video, numbers, decoder), strict=True))
            shown |= {k: [pixels[number] for number in query.frames] for k, query in own.items()}
        except VideoError as error:
            if len(own) == 1:
                refused |= dict.fromkeys(own, str(error))
                continue
            for k, query in own.items():  # some of them may be whole
                there, why = _decoded((query,), decoder)
                shown |= dict.fromkeys([k] if there else [], there.get(0, []))
                refused |= dict.fromkeys([k] if why else [], why.get(0, ""))
    return shown, refused


@dataclass(frozen=True, eq=False)
class _Asker:
    """Puts prepared batches to the model."""

    held: LoadedModel
    sampling: GenerationConfig
    feeder: DecodePool[Batch]
    watch: WaitTimer

    def ask(self, batch: Batch, coming: Any) -> list[Answer | NoAnswer]:
        """Answers in order; where the memory does not suffice, by halves, from then on."""
        with self.watch.waiting():
            made = self.feeder.take(coming)
        if isinstance(made, WorkerLost):
            return self._parted(batch, made)
        said = self._put(batch, made)
        if said is not None:
            return said
        loading.free_memory()  # not while the error is handled: its traceback holds the tensors
        self.held.room[isinstance(batch[0], ChooseQuery)].shrink(len(batch))
        half = max(1, len(batch) // 2)
        parts = [batch[first : first + half] for first in range(0, len(batch), half)]
        return [answer for part in parts for answer in self.ask(part, self.feeder.put(part))]

    def _put(self, batch: Batch, made: prefetch.Made) -> list[Answer | NoAnswer] | None:
        """None where the memory does not suffice.

        Raises:
            VaaError: it does not suffice for a single question.
        """
        import torch

        arrays, (tokens, refused) = made
        ready = [query for k, query in enumerate(batch) if k not in refused]
        seen = self.held.place(VisionInputs({name: torch.from_numpy(array) for name, array in arrays.items()}, tokens))
        try:
            with GpuMemoryMeter(self.held.model) as gauge:
                said = iter(self._asked(ready, seen) if ready else ())
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            if len(ready) == 1:
                raise VaaError(
                    f"Out of memory with a single question ({ready[0].purpose}, {len(ready[0].frames)} frames): show "
                    "fewer frames, or set quantization=nf4, a smaller max_pixels or another device_map for the model."
                ) from error
            return None
        if not isinstance(
            batch[0], ChooseQuery
        ):  # these are read some at a time: more at once would make nothing sooner
            self.held.room[False].grow(len(batch), gauge.used)
        return [NoAnswer(refused[k]) if k in refused else next(said) for k in range(len(batch))]

    def _asked(self, ready: Sequence[ChatQuery], seen: VisionInputs) -> Sequence[Answer]:
        choices = [query for query in ready if isinstance(query, ChooseQuery)]
        if choices:
            return choose(self.held, choices, seen)
        return generate(self.held, [q for q in ready if isinstance(q, GenerateQuery)], seen, self.sampling)

    def _parted(self, batch: Batch, lost: WorkerLost) -> list[Answer | NoAnswer]:
        """A process was lost over a batch: find out over which video, so that the others go on."""
        videos = list(dict.fromkeys(query.video.path for query in batch))
        if len(videos) == 1:
            log.error("%s: decoding %s.", videos[0], lost.reason)
            return [NoAnswer(f"{videos[0]}: decoding it {lost.reason}. Does it play?") for _ in batch]
        log.warning("Decoding %d videos %s: each is tried alone.", len(videos), lost.reason)
        own = [tuple(query for query in batch if query.video.path == path) for path in videos]
        found = {
            q: answer for part in own for q, answer in zip(part, self.ask(part, self.feeder.put(part)), strict=True)
        }
        return [found[query] for query in batch]


def _hands(queries: Sequence[ChatQuery], held: LoadedModel, workers: int | None) -> int:
    seen = sum(bool(query.frames) for query in queries)
    wanted = prefetch.spare() if workers is None else workers
    return wanted if seen > _WORTH * held.batch_size else 0


def _end(queries: Sequence[ChatQuery], start: int, held: LoadedModel, share: float) -> int:
    """Where the batch ends that starts here: at another kind of answer, or when it has this `share` of its room.

    Choices about the same frames stay together, unless that was seen to be too much.
    """
    chosen = isinstance(queries[start], ChooseQuery)
    end, room = start + 1, held.room[chosen]
    while end < len(queries) and isinstance(queries[end], ChooseQuery) == chosen:
        alike = chosen and queries[end].frames and frame_key(queries[end]) == frame_key(queries[end - 1])
        if end - start >= room.size * share and (room.tight or not alike):
            break
        end += 1
    return end


def _out_of_memory(error: Exception) -> bool:
    """Torch has a class for an accelerator's memory, and words for the CPU's and for libraries'."""
    import torch

    words = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)
