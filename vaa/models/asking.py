"""Questions put to a local model: as many at once as it has memory for, their frames decoded beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from vaa import video
from vaa.models import checkpoint
from vaa.models.choosing import choose
from vaa.models.generating import Sampling, generate
from vaa.models.local import Local
from vaa.types import Answer, Pixels, Question, Unanswered, VaaError, VideoError

log = logging.getLogger("vaa")

Shown = list[Pixels]


def answers(
    load: Callable[[], Local], questions: Sequence[Question], sampling: Sampling, reader: str
) -> Iterator[Answer | Unanswered]:
    """Decode, ask and yield in order; a question whose frames cannot be decoded is Unanswered, the others go on."""
    start = 0
    while start < len(questions):
        held = load()
        batch = questions[start : _end(questions, start, held.room)]
        start += len(batch)
        known: dict[object, Shown | Unanswered] = {}
        for question in batch:
            if _sight(question) not in known:
                known[_sight(question)] = _decoded(question, reader)
        seen = [known[_sight(question)] for question in batch]
        ready = [(q, f) for q, f in zip(batch, seen, strict=True) if not isinstance(f, Unanswered)]
        said = iter(_halving(held, ready, sampling) if ready else ())
        for frames in seen:
            yield frames if isinstance(frames, Unanswered) else next(said)


def _end(questions: Sequence[Question], start: int, room: dict[bool, int]) -> int:
    """Where the batch ends that starts here: at another kind of answer, for choices also at other frames."""
    kind = _kind(questions[start])
    end = start + 1
    while end < len(questions) and end - start < room[kind[1]] and _kind(questions[end]) == kind:
        end += 1
    return end


def _kind(question: Question) -> tuple[bool, bool, object]:
    shared = bool(question.choices and question.frames)
    return bool(question.choices), shared, _sight(question) if shared else None


def _sight(question: Question) -> object:
    return question.frames and (question.video.path, question.frames)


def _decoded(question: Question, reader: str) -> Shown | Unanswered:
    try:
        return list(video.frames(question.video, question.frames, reader)) if question.frames else []
    except VideoError as error:
        return Unanswered(str(error))


def _halving(held: Local, asked: Sequence[tuple[Question, Shown]], sampling: Sampling) -> list[Answer]:
    """Ask all at once; where the memory does not suffice, by halves, from then on.

    Raises:
        VaaError: it does not suffice for a single question.
    """
    questions, frames = [question for question, _ in asked], [shown for _, shown in asked]
    try:
        if questions[0].choices:
            return list(choose(held, questions, frames[0]))
        return list(generate(held, questions, frames, sampling))
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if len(asked) == 1:
            raise VaaError(
                f"Out of memory with a single question ({questions[0].purpose}, {len(frames[0])} frames): show fewer "
                "frames, or set quantization=nf4, a smaller max_pixels or another device_map for the model."
            ) from error
    checkpoint.free()  # not while the error is handled: its traceback holds the tensors
    half, shared = len(asked) // 2, _kind(questions[0])[1]
    if held.room[shared] > half:
        held.room[shared] = half
        log.warning("Out of memory with %d questions at once: from here on %d.", len(asked), half)
    parts = [asked[first : first + half] for first in range(0, len(asked), half)]
    return [answer for part in parts for answer in _halving(held, part, sampling)]


def _out_of_memory(error: Exception) -> bool:
    """Torch has a class for an accelerator's memory, and words for the CPU's and for libraries'."""
    import torch

    words = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)
