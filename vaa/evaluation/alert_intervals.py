"""From scores to the intervals of alerts: hysteresis, merging, shortest duration, padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vaa.evaluation.protocol import intervals
from vaa.types import Floats, Video

Interval = tuple[int, int]
"""The frames [start, stop) of a video."""


@dataclass(frozen=True, kw_only=True)
class Hysteresis:
    """An alert starts at a score of at least `threshold` and ends at one below `end`, or at NaN."""

    threshold: float
    end: float

    def active(self, score: float, before: bool) -> bool:
        """Whether there is an alert at a score, given whether there was one just before."""
        return score >= (self.end if before else self.threshold)

    def mask(self, scores: Floats) -> NDArray[np.bool_]:
        """Where there is an alert, shape (n,), for scores of shape (n,); none before the first."""
        high = scores >= self.threshold
        changes = np.where(high | ~(scores >= self.end), np.arange(len(scores)), -1)
        latest = np.maximum.accumulate(changes)
        return (latest >= 0) & high[latest]


def alert_intervals(
    scores: Floats, video: Video, hysteresis: Hysteresis, *, gap: float, shortest: float, padding: float
) -> list[Interval]:
    """The alerts of a video by its scores, of shape (frames,).

    Intervals less than `gap` seconds apart are merged, those shorter than `shortest` seconds are dropped then, and the
    others are extended by `padding` seconds on both sides and merged where they meet. A pause of the recording ends an
    alert, as low scores do.
    """
    merged: list[Interval] = []
    for first, end in recorded_parts(video, len(scores)):
        for start, stop in intervals(hysteresis.mask(scores[first:end])):
            begin = first + start
            if merged and _length(video.end(merged[-1][1]), video.seconds(begin)) < gap:
                begin = merged.pop()[0]
            merged.append((begin, first + stop))
    long = [(a, b) for a, b in merged if _length(video.seconds(a), video.end(b)) >= shortest]
    if not padding:
        return long
    pauses = _pauses(video)
    joined: list[Interval] = []
    for start, stop in (extend(video, each, before=padding, after=padding) for each in long):
        if joined and (start < joined[-1][1] or (start == joined[-1][1] and start not in pauses)):
            start = joined.pop()[0]
        joined.append((start, stop))
    return joined


def extend(video: Video, interval: Interval, *, before: float, after: float) -> Interval:
    """An interval with these seconds added on both sides, cut at the ends of the video and at its pauses."""
    start, stop = interval
    edges = [0, *_pauses(video), video.n_frames]
    lowest = max(edge for edge in edges if edge <= start)
    highest = min(edge for edge in edges if edge >= stop)
    earlier = max(lowest, _frame_at(video, video.seconds(start) - before))
    later = min(highest, _frame_at(video, video.end(stop) + after))
    return min(start, earlier), max(stop, later)


def recorded_parts(video: Video, n_frames: int) -> Iterator[Interval]:
    """The parts of the first `n_frames` frames between pauses of the recording."""
    return pairwise([0, *(frame for frame in _pauses(video) if 0 < frame < n_frames), n_frames])


def recorded_seconds(video: Video) -> float:
    """The length of a video without the pauses of the recording."""
    return sum(video.end(stop) - video.seconds(start) for start, stop in recorded_parts(video, video.n_frames))


def _pauses(video: Video) -> Sequence[int]:
    return video.times.pauses if video.times else ()


def _frame_at(video: Video, seconds: float) -> int:
    """The first frame that is shown at this time or later; the number of frames if there is none."""
    if video.times is not None:
        return video.times.frame_at(seconds)
    return int(np.clip(np.ceil(round(seconds * (video.fps or 25.0), 6)), 0, video.n_frames))


def _length(start: float, stop: float) -> float:
    """The seconds between two times, without the last digits, in which equal lengths differ."""
    return round(stop - start, 6)
