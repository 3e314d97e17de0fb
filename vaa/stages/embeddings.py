"""What comparisons of frames and texts ask of an encoder, and what they make of its vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from vaa.errors import VideoError
from vaa.types import EmbedQuery, Floats, Report


def segments(report: Report) -> tuple[EmbedQuery, ...]:
    """One question a segment, about ALL its frames: the answer is the mean of their features."""
    return tuple(
        EmbedQuery(video=report.video, at=segment.at, frames=tuple(range(segment.start, segment.stop)))
        for segment in report.segments
    )


def texts(report: Report, wording: Sequence[str]) -> tuple[EmbedQuery, ...]:
    """One question a segment, about its text."""
    return tuple(
        EmbedQuery(video=report.video, at=segment.at, text=text)
        for segment, text in zip(report.segments, wording, strict=True)
    )


def split(answers: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Answers to `segments` followed by `texts` as two float64 arrays of shape (segments, d)."""
    half = len(answers) // 2
    stacked = np.asarray(answers, dtype=np.float64)
    return stacked[:half], stacked[half:]


def shown(report: Report) -> tuple[EmbedQuery, ...]:
    """One question a frame that a model is shown, each once, so that windows that overlap share them."""
    return tuple(EmbedQuery(video=report.video, at=frame, frames=(frame,)) for frame in _shown(report))


def of_shown(report: Report, answers: Sequence[Floats]) -> Floats:
    """Answers to `shown` as unit vectors (segments, d): of each the mean over the frames it shows."""
    place = {frame: k for k, frame in enumerate(_shown(report))}
    stacked = np.asarray(answers, dtype=np.float64)
    means = [stacked[[place[frame] for frame in segment.frames]].mean(axis=0) for segment in report.segments]
    return unit(np.asarray(means))


def unit(vectors: Floats) -> Floats:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def weighted(similarity: Floats, values: NDArray[np.float64], count: int, temperature: float) -> NDArray[np.float64]:
    """Of each row (n, n) the `count` most similar values (n,), averaged by softmax(similarity / temperature): (n,)."""
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    weights = softmax(np.take_along_axis(similarity, nearest, axis=1) / temperature, axis=1)
    return np.asarray((weights * values[nearest]).sum(axis=1), dtype=np.float64)


def descriptions(report: Report) -> list[str]:
    """What was described, a text a segment.

    Raises:
        VideoError: not one segment has a description, so that there is nothing to compare with.
    """
    found = [response.description for response in report.responses]
    if not any(found):
        raise VideoError(
            "no segment has a description for the refinement to compare: this method makes none, or the model said "
            "nothing; refinement=retrieval and refinement=none do without."
        )
    return found


def _shown(report: Report) -> tuple[int, ...]:
    return tuple(dict.fromkeys(frame for segment in report.segments for frame in segment.frames))
