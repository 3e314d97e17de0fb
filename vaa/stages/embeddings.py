"""Embedding queries of the refinement stages, and the comparison of the vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from vaa.errors import VideoError
from vaa.types import EmbedQuery, Floats, Report


def segment_queries(report: Report) -> tuple[EmbedQuery, ...]:
    """One query per segment, with ALL its frames: the answer is the mean of their embeddings."""
    return tuple(
        EmbedQuery(video=report.video, at=segment.at, frames=tuple(range(segment.start, segment.stop)))
        for segment in report.segments
    )


def text_queries(report: Report, texts: Sequence[str]) -> tuple[EmbedQuery, ...]:
    """One query per segment, with its text."""
    return tuple(
        EmbedQuery(video=report.video, at=segment.at, text=text)
        for segment, text in zip(report.segments, texts, strict=True)
    )


def split(answers: Sequence[Floats]) -> tuple[Floats, Floats]:
    """The answers to `segment_queries` and `text_queries`, in this order, as float64 arrays of shape (segments, d)."""
    half = len(answers) // 2
    stacked = np.asarray(answers, dtype=np.float64)
    return stacked[:half], stacked[half:]


def frame_queries(report: Report) -> tuple[EmbedQuery, ...]:
    """One query per frame of the segments' `frames`; overlapping segments share them."""
    return tuple(EmbedQuery(video=report.video, at=frame, frames=(frame,)) for frame in _frames(report))


def segment_vectors(report: Report, answers: Sequence[Floats]) -> Floats:
    """Unit vectors (segments, d) from the answers to `frame_queries`: the mean over each segment's `frames`."""
    row = {frame: k for k, frame in enumerate(_frames(report))}
    stacked = np.asarray(answers, dtype=np.float64)
    means = [stacked[[row[frame] for frame in segment.frames]].mean(axis=0) for segment in report.segments]
    return normalise(np.asarray(means))


def normalise(vectors: Floats) -> Floats:
    """Rows scaled to length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def nearest_average(
    similarity: Floats, values: NDArray[np.float64], count: int, temperature: float
) -> NDArray[np.float64]:
    """For each row of (n, m), the average of its `count` most similar values (m,), weighted by a softmax: (n,)."""
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    weights = softmax(np.take_along_axis(similarity, nearest, axis=1) / temperature, axis=1)
    return np.asarray((weights * values[nearest]).sum(axis=1), dtype=np.float64)


def descriptions(report: Report) -> list[str]:
    """The description of each segment.

    Raises:
        VideoError: no segment has one.
    """
    texts = [response.description for response in report.responses]
    if not any(texts):
        raise VideoError(
            "no segment has a description for the refinement to compare: the method makes none or the answers are "
            "empty. Choose refinement=retrieval or refinement=none."
        )
    return texts


def _frames(report: Report) -> tuple[int, ...]:
    return tuple(dict.fromkeys(frame for segment in report.segments for frame in segment.frames))
