"""What CoReVAD's two comparisons ask of an encoder: the segments' frames, and some texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaa.types import EMBEDDING, Floats, Question, Report


def segments(report: Report) -> tuple[Question, ...]:
    """One question a segment, about ALL its frames: the answer is the mean of their features."""
    return tuple(
        Question(EMBEDDING, report.video, segment.at, tuple(range(segment.start, segment.stop)), "")
        for segment in report.segments
    )


def texts(report: Report, wording: Sequence[str]) -> tuple[Question, ...]:
    """One question a segment, about its text."""
    return tuple(
        Question(EMBEDDING, report.video, segment.at, (), text)
        for segment, text in zip(report.segments, wording, strict=True)
    )


def split(answers: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Answers to `segments` followed by `texts` as two float64 arrays of shape (segments, d)."""
    half = len(answers) // 2
    stacked = np.asarray(answers, dtype=np.float64)
    return stacked[:half], stacked[half:]
