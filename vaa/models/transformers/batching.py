"""Questions put to a local model: as many at once as it has memory for, the next ones' frames prepared meanwhile."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vaa import interrupt, video
from vaa.models import checkpoint, feeding
from vaa.models.choosing import choose, sight
from vaa.models.cores import Cores
from vaa.models.families import Seen
from vaa.models.feeding import Feeder, Lost, Watch
from vaa.models.generating import Sampling, generate
from vaa.models.local import Eye, Local
from vaa.models.room import Gauge
from vaa.types import Answer, Pixels, Question, Unanswered, VaaError, VideoError

log = logging.getLogger("vaa")

Batch = tuple[Question, ...]
_WORTH = 2  # so many batches with frames are worth other processes
_FIRST = (0.25, 0.5)  # of a whole batch have the first two, so that the model need not wait long for their frames


def answers(
    load: Callable[[], Local], questions: Sequence[Question], sampling: Sampling, reader: str, workers: int | None
) -> Iterator[Answer | Unanswered]:
    """Ask and yield in order; a question whose frames cannot be decoded is Unanswered, the others go on.

    `workers` processes prepare frames (None: as many as the machine has to spare) where it is worth starting them.
    """
    held, watch, start, line = load(), Watch(), 0, deque[tuple[Batch, Any]]()
    hands = _hands(questions, held, workers)
    shares = iter(_FIRST if hands else ())
    feeder = Feeder(partial(prepare, held.eye, reader, resting=hands > 0), hands, feeding.PATIENCE)
    with feeder, Cores(held.model, feeder.busy):
        while start < len(questions) or line:
            while start < len(questions) and len(line) <= feeder.workers:
                batch = tuple(questions[start : _end(questions, start, held, next(shares, 1.0))])
                start += len(batch)
                line.append((batch, feeder.put(batch)))
            interrupt.check()
            batch, coming = line.popleft()
            if not line:
                feeder.close()
            yield from _Asker(held, sampling, feeder, watch).ask(batch, coming)
    if any(question.frames for question in questions):
        log.info("%s", watch.told(len(questions), "questions"))


def prepare(eye: Eye | None, reader: str, batch: Batch, resting: bool = False) -> feeding.Made:
    """Decode a batch's frames and show them to the eye: each video in one forward pass, the same frames once.

    With the arrays go the number of tokens of each frame, and why a question's frames cannot be had (by its place).
    `resting`, nothing is decoded ahead: beside a model that would take its cores, and the next batch may lie elsewhere.
    """
    shown, refused = _decoded(batch, reader)
    for own in {q.video for k, q in enumerate(batch) if resting and q.frames and k not in refused}:
        video.rest(own, reader)
    whole = [k for k in range(len(batch)) if k not in refused]
    once = {sight(batch[k]): shown[k] for k in whole}
    rows = list(once.values()) if batch[0].choices else [shown[k] for k in whole]
    frames = [frame for row in rows for frame in row]
    seen = eye.see(frames) if eye is not None and frames else Seen({}, ())
    return {name: value.numpy() for name, value in seen.inputs.items()}, (seen.tokens, refused)


def _decoded(batch: Batch, reader: str) -> tuple[dict[int, list[Pixels]], dict[int, str]]:
    """By place in the batch: a question's frames, or why they cannot be decoded."""
    shown: dict[int, list[Pixels]] = {k: [] for k, question in enumerate(batch) if not question.frames}
    refused: dict[int, str] = {}
    for path in dict.fromkeys(question.video.path for question in batch if question.frames):
        own = {k: question for k, question in enumerate(batch) if question.frames and question.video.path == path}
        numbers = sorted({number for question in own.values() for number in question.frames})
        try:
            pixels = dict(zip(numbers, video.frames(next(iter(own.values())).video, numbers, reader), strict=True))
            shown |= {k: [pixels[number] for number in question.frames] for k, question in own.items()}
        except VideoError as error:
            if len(own) == 1:
                refused |= dict.fromkeys(own, str(error))
                continue
            for k, question in own.items():  # some of them may be whole
                there, why = _decoded((question,), reader)
                shown |= dict.fromkeys([k] if there else [], there.get(0, []))
                refused |= dict.fromkeys([k] if why else [], why.get(0, ""))
    return shown, refused


@dataclass(frozen=True, eq=False)
class _Asker:
    """Puts prepared batches to the model."""

    held: Local
    sampling: Sampling
    feeder: Feeder[Batch]
    watch: Watch

    def ask(self, batch: Batch, coming: Any) -> list[Answer | Unanswered]:
        """Answers in order; where the memory does not suffice, by halves, from then on."""
        with self.watch.waiting():
            made = self.feeder.take(coming)
        if isinstance(made, Lost):
            return self._parted(batch, made)
        said = self._put(batch, made)
        if said is not None:
            return said
        checkpoint.free()  # not while the error is handled: its traceback holds the tensors
        self.held.room[bool(batch[0].choices)].shrink(len(batch))
        half = max(1, len(batch) // 2)
        parts = [batch[first : first + half] for first in range(0, len(batch), half)]
        return [answer for part in parts for answer in self.ask(part, self.feeder.put(part))]

    def _put(self, batch: Batch, made: feeding.Made) -> list[Answer | Unanswered] | None:
        """None where the memory does not suffice.

        Raises:
            VaaError: it does not suffice for a single question.
        """
        import torch

        arrays, (tokens, refused) = made
        ready = [question for k, question in enumerate(batch) if k not in refused]
        seen = self.held.place(Seen({name: torch.from_numpy(array) for name, array in arrays.items()}, tokens))
        try:
            with Gauge(self.held.model) as gauge:
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
        if not batch[0].choices:  # these are read some at a time: more at once would make nothing sooner
            self.held.room[False].grow(len(batch), gauge.used)
        return [Unanswered(refused[k]) if k in refused else next(said) for k in range(len(batch))]

    def _asked(self, ready: Sequence[Question], seen: Seen) -> Sequence[Answer]:
        if ready[0].choices:
            return choose(self.held, ready, seen)
        return generate(self.held, ready, seen, self.sampling)

    def _parted(self, batch: Batch, lost: Lost) -> list[Answer | Unanswered]:
        """A process was lost over a batch: find out over which video, so that the others go on."""
        videos = list(dict.fromkeys(question.video.path for question in batch))
        if len(videos) == 1:
            log.error("%s: decoding %s.", videos[0], lost.reason)
            return [Unanswered(f"{videos[0]}: decoding it {lost.reason}. Does it play?") for _ in batch]
        log.warning("Decoding %d videos %s: each is tried alone.", len(videos), lost.reason)
        own = [tuple(question for question in batch if question.video.path == path) for path in videos]
        found = {
            q: answer for part in own for q, answer in zip(part, self.ask(part, self.feeder.put(part)), strict=True)
        }
        return [found[question] for question in batch]


def _hands(questions: Sequence[Question], held: Local, workers: int | None) -> int:
    seen = sum(bool(question.frames) for question in questions)
    wanted = feeding.spare() if workers is None else workers
    return wanted if seen > _WORTH * held.batch_size else 0


def _end(questions: Sequence[Question], start: int, held: Local, share: float) -> int:
    """Where the batch ends that starts here: at another kind of answer, or when it has this `share` of its room.

    Choices about the same frames stay together, unless that was seen to be too much.
    """
    chosen = bool(questions[start].choices)
    end, room = start + 1, held.room[chosen]
    while end < len(questions) and bool(questions[end].choices) == chosen:
        alike = chosen and questions[end].frames and sight(questions[end]) == sight(questions[end - 1])
        if end - start >= room.size * share and (room.tight or not alike):
            break
        end += 1
    return end


def _out_of_memory(error: Exception) -> bool:
    """Torch has a class for an accelerator's memory, and words for the CPU's and for libraries'."""
    import torch

    words = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)
