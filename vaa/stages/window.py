"""Windows: a video as segments, and the frames of each that a model is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vaa.types import Report, Segment, VaaError


@dataclass(frozen=True)
class Consecutive:
    """Back-to-back segments of `length` frames, `shown` of each spread evenly from first to last (CoReVAD).

    A segment of `shown` frames or fewer is shown whole.
    """

    length: int
    shown: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.shown < 1:
            raise VaaError(f"window: length={self.length} and shown={self.shown} must be at least 1 frame.")

    def __call__(self, report: Report) -> Report:
        """The report with its segments."""
        n = report.video.n_frames
        spans = [(start, min(start + self.length, n)) for start in range(0, n, self.length)]
        return replace(report, segments=tuple(Segment(a, b, self._frames(a, b), a) for a, b in spans))

    def _frames(self, start: int, stop: int) -> tuple[int, ...]:
        if stop - start <= self.shown:
            return tuple(range(start, stop))
        return tuple(int(frame) for frame in np.linspace(start, stop - 1, self.shown))
