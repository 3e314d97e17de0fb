"""Windows: a video as segments, and the frames of each that a model is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vaa.errors import VaaError, VideoError
from vaa.types import Ints, Report, Segment


@dataclass(frozen=True)
class CentredWindow:
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
        centres = np.arange(report.since, video.n_frames, self.stride)
        starts = np.maximum(0, np.rint(centres - half)).astype(np.int64)
        stops = np.maximum(centres + 1, np.minimum(video.n_frames, np.rint(centres + half))).astype(np.int64)
        counts = np.clip((stops - starts) / (video.fps / self.rate), 1, self.most).astype(np.int64)
        return replace(report, segments=_segments(starts, stops, counts, centres))


@dataclass(frozen=True)
class ConsecutiveWindow:
    """Back-to-back segments of `length` frames, `shown` of each spread evenly from first to last (CoReVAD).

    A segment of `shown` frames or fewer is shown whole.
    """

    length: int
    shown: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.shown < 1:
            raise VaaError(f"window: length={self.length} and shown={self.shown} must be at least 1 frame.")

    def __call__(self, report: Report) -> Report:
        """The report with its segments, each `at` its first frame."""
        starts = np.arange(report.since, report.video.n_frames, self.length)
        stops = np.minimum(starts + self.length, report.video.n_frames)
        return replace(report, segments=_segments(starts, stops, np.minimum(self.shown, stops - starts), starts))


def sample_frames(start: int, stop: int, step: float, most: int) -> tuple[int, ...]:
    """Every `step`-th frame of [start, stop), thinned evenly to `most` where there are more."""
    count = min(most, max(1, int((stop - start) / step)))
    return tuple(int(frame) for frame in np.linspace(start, stop - 1, count))


def _segments(starts: Ints, stops: Ints, counts: Ints, at: Ints) -> tuple[Segment, ...]:
    """The segments [start, stop), `counts` frames of each spread evenly from first to last; all of shape (segments,).

    Those that show equally many frames are spread together: numpy takes microseconds a call.
    """
    frames: dict[int, list[int]] = {}
    for count in np.unique(counts):
        alike = np.flatnonzero(counts == count)
        spread = np.linspace(starts[alike], stops[alike] - 1, count, axis=1).astype(np.int64)
        frames.update(zip(alike.tolist(), spread.tolist(), strict=True))
    spans = zip(starts.tolist(), stops.tolist(), at.tolist(), strict=True)
    return tuple(Segment(start, stop, tuple(frames[k]), to) for k, (start, stop, to) in enumerate(spans))
