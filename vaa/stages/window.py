"""Windows: a video as segments, and the frames of each that a model is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vaa.types import Report, Segment, VaaError, VideoError


@dataclass(frozen=True)
class Centred:
    """A segment round every `stride`-th frame, `seconds` long, cut at the video's ends (LAVAD, URF, Probe-VAD).

    Shown are frames `rate` a second, `most` of them at the most, evenly thinned.
    """

    stride: int
    seconds: float
    rate: float
    most: int

    def __post_init__(self) -> None:
        if self.stride < 1 or self.most < 1 or not (self.seconds > 0 and self.rate > 0):
            raise VaaError(
                f"window: stride={self.stride}, seconds={self.seconds}, rate={self.rate} and most={self.most} "
                "must all be above 0."
            )

    def __call__(self, report: Report) -> Report:
        """The report with its segments, each `at` its centre.

        Raises:
            VideoError: the video has no frame rate, so that seconds mean nothing.
        """
        video = report.video
        if not video.fps > 0:
            raise VideoError(f"{video.path}: has no frame rate; give data.fps or a window in frames.")
        half = self.seconds * video.fps / 2
        segments = []
        for centre in range(report.since, video.n_frames, self.stride):
            start, stop = max(0, round(centre - half)), max(centre + 1, min(video.n_frames, round(centre + half)))
            segments.append(Segment(start, stop, sampled(start, stop, video.fps / self.rate, self.most), centre))
        return replace(report, segments=tuple(segments))


def sampled(start: int, stop: int, step: float, most: int) -> tuple[int, ...]:
    """Every `step`-th frame of [start, stop), thinned evenly to `most` where there are more."""
    count = min(most, max(1, int((stop - start) / step)))
    return tuple(int(frame) for frame in np.linspace(start, stop - 1, count))


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
        spans = [(start, min(start + self.length, n)) for start in range(report.since, n, self.length)]
        return replace(report, segments=tuple(Segment(a, b, self._frames(a, b), a) for a, b in spans))

    def _frames(self, start: int, stop: int) -> tuple[int, ...]:
        if stop - start <= self.shown:
            return tuple(range(start, stop))
        return tuple(int(frame) for frame in np.linspace(start, stop - 1, self.shown))
