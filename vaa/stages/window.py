"""Windows: divide a video into segments and choose the frames of each that the model is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np

from vaa.errors import ConfigError, VideoError
from vaa.frame_times import FrameTimes
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.fps_filter import ShownFrames, fps_filter
from vaa.types import Ints, Report, Segment, Video

Sampling = Literal["even", "fps_filter"]
"""How the frames of a clip are chosen: evenly from its first to its last, or as FFmpeg's fps filter does."""


@dataclass(frozen=True, kw_only=True)
class CentredWindow:
    """A segment of `seconds` around every `stride`-th frame, cut at the video's ends (LAVAD, URF, Probe-VAD).

    The model is shown `sample_fps` frames per second, at most `max_frames`, by `sampling`: `even`, or `fps_filter`
    (vaa/stages/fps_filter.py). Seconds are those of the frames' own times where the rate of the video varies.
    """

    scope: ClassVar[Scope] = SEGMENT

    stride: int
    seconds: float
    sample_fps: float
    max_frames: int
    sampling: Sampling

    def __post_init__(self) -> None:
        check_sampling(self.sampling)
        if self.stride < 1 or self.max_frames < 1 or not (self.seconds > 0 and self.sample_fps > 0):
            raise ConfigError(
                f"window: stride={self.stride}, seconds={self.seconds}, sample_fps={self.sample_fps} and "
                f"max_frames={self.max_frames} must be above 0."
            )

    def __call__(self, report: Report) -> Report:
        """The report with its segments, each `at` its centre.

        Raises:
            VideoError: the video has no frame rate.
        """
        video = report.video
        if not video.fps > 0:
            raise VideoError(f"{video.path}: has no frame rate; set data.fps or choose a window in frames.")
        centres = np.arange(report.first_frame, video.n_frames, self.stride)
        if video.times is not None:
            segments = tuple(self._segment(video, video.times, int(at)) for at in centres)
        else:
            half = self.seconds * video.fps / 2
            starts = np.maximum(0, np.rint(centres - half)).astype(np.int64)
            stops = np.maximum(centres + 1, np.minimum(video.n_frames, np.rint(centres + half))).astype(np.int64)
            counts = np.clip((stops - starts) / (video.fps / self.sample_fps), 1, self.max_frames).astype(np.int64)
            segments = _segments(starts, stops, counts, centres)
        return replace(report, segments=self._filtered(video, segments))

    def _filtered(self, video: Video, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """The segments with the frames of the fps filter, which may be one frame longer: it cuts at exact seconds."""
        if self.sampling == "even":
            return segments
        centres = np.array([video.seconds(segment.at) for segment in segments])
        starts, ends = np.maximum(0.0, centres - self.seconds / 2), centres + self.seconds / 2
        ends = np.minimum(video.end(video.n_frames), ends)
        shown = fps_filter(video, starts, ends, self.sample_fps, self.max_frames)
        return tuple(
            Segment(min(old.start, new.frames[0]), max(old.stop, new.frames[-1] + 1), new.frames, old.at, new.times)
            for old, new in zip(segments, shown, strict=True)
        )

    def _segment(self, video: Video, times: FrameTimes, at: int) -> Segment:
        """The segment around the frame `at` of a video whose rate varies."""
        centre = times.seconds(at)
        start = min(at, times.frame_at(centre - self.seconds / 2))
        stop = max(at + 1, times.frame_at(centre + self.seconds / 2))
        return Segment(start, stop, sample_frames(video, start, stop, self.sample_fps, self.max_frames), at)


@dataclass(frozen=True, kw_only=True)
class CentredFrames:
    """A segment of `seconds` around every `stride`-th frame, cut at the video's ends, and `n_frames` of its frames.

    `spacing`: "ends" takes frames evenly from the first to the last one, all where there are fewer (LAVAD); "parts" the
    first frame of each of `n_frames` equal parts, so that frames repeat where there are fewer (VERA). Seconds are those
    of the frames' own times where the rate of the video varies; the frame of a part is then that shown as it begins.
    """

    scope: ClassVar[Scope] = SEGMENT

    stride: int
    seconds: float
    n_frames: int
    spacing: Literal["ends", "parts"]

    def __post_init__(self) -> None:
        if self.stride < 1 or self.n_frames < 1 or not self.seconds > 0:
            raise ConfigError(
                f"window: stride={self.stride}, seconds={self.seconds} and n_frames={self.n_frames} must be above 0."
            )
        if self.spacing not in ("ends", "parts"):
            raise ConfigError(f"window.spacing={self.spacing}: choose ends or parts.")

    def __call__(self, report: Report) -> Report:
        """The report with its segments, each `at` its centre.

        Raises:
            VideoError: the video has no frame rate.
        """
        video = report.video
        if not video.fps > 0:
            raise VideoError(f"{video.path}: has no frame rate; set data.fps or choose a window in frames.")
        centres = range(report.first_frame, video.n_frames, self.stride)
        return replace(report, segments=tuple(self._segment(video, at) for at in centres))

    def _segment(self, video: Video, at: int) -> Segment:
        if video.times is None:
            half = self.seconds * video.fps / 2
            start, stop = max(0, round(at - half)), max(at + 1, min(video.n_frames, round(at + half)))
            return Segment(start, stop, self._spaced(start, stop), at)
        times, centre = video.times, video.times.seconds(at)
        start = min(at, times.frame_at(centre - self.seconds / 2))
        stop = max(at + 1, times.frame_at(centre + self.seconds / 2))
        return Segment(start, stop, self._timed(times, start, stop), at)

    def _spaced(self, start: int, stop: int) -> tuple[int, ...]:
        if self.spacing == "parts":
            return tuple(start + k * (stop - start) // self.n_frames for k in range(self.n_frames))
        return evenly_spaced(start, stop, min(self.n_frames, stop - start))

    def _timed(self, times: FrameTimes, start: int, stop: int) -> tuple[int, ...]:
        first = times.seconds(start)
        if self.spacing == "parts":
            step = (times.end(stop) - first) / self.n_frames
            begun = (times.frame_at(first + k * step + 0.002) - 1 for k in range(self.n_frames))  # 0.001 is tolerance
            return tuple(min(stop - 1, max(start, frame)) for frame in begun)
        seconds = np.linspace(first, times.seconds(stop - 1), min(self.n_frames, stop - start))
        return tuple(dict.fromkeys(times.frame_at(second) for second in seconds))


@dataclass(frozen=True, kw_only=True)
class ConsecutiveWindow:
    """Consecutive segments of `length` frames (CoReVAD).

    The model is shown `n_frames` of each, evenly spaced from first to last; all where a segment has fewer.
    """

    scope: ClassVar[Scope] = SEGMENT

    length: int
    n_frames: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.n_frames < 1:
            raise ConfigError(f"window: length={self.length} and n_frames={self.n_frames} must be at least 1.")

    def __call__(self, report: Report) -> Report:
        """The report with its segments, each `at` its first frame."""
        starts = np.arange(report.first_frame, report.video.n_frames, self.length)
        stops = np.minimum(starts + self.length, report.video.n_frames)
        return replace(report, segments=_segments(starts, stops, np.minimum(self.n_frames, stops - starts), starts))


@dataclass(frozen=True, kw_only=True)
class TimedWindow:
    """Consecutive segments of `seconds`, whatever the frame rate is; the last one may be shorter.

    The model is shown `n_frames` of each, evenly spaced from first to last; all where a segment has fewer.
    """

    scope: ClassVar[Scope] = SEGMENT

    seconds: float
    n_frames: int

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.n_frames < 1:
            raise ConfigError(
                f"window: seconds={self.seconds} must be above 0 and n_frames={self.n_frames} at least 1."
            )

    def __call__(self, report: Report) -> Report:
        """The report with its segments, each `at` its first frame.

        Raises:
            VideoError: the video has no frame rate.
        """
        video = report.video
        if not video.fps > 0:
            raise VideoError(f"{video.path}: has no frame rate; set data.fps or choose a window in frames.")
        starts = self._starts(video)
        starts = starts[starts >= report.first_frame]
        stops = np.append(starts[1:], video.n_frames)
        return replace(report, segments=_segments(starts, stops, np.minimum(self.n_frames, stops - starts), starts))

    def _starts(self, video: Video) -> Ints:
        """The first frame of each segment; without segments in which nothing was recorded."""
        if video.times is None:
            count = math.ceil(video.n_frames / video.fps / self.seconds)
            starts = np.rint(np.arange(count) * (self.seconds * video.fps)).astype(np.int64)
        else:
            count = math.ceil(video.end(video.n_frames) / self.seconds)
            starts = np.array([video.times.frame_at(k * self.seconds) for k in range(count)], dtype=np.int64)
        return np.unique(starts[starts < video.n_frames])


def check_sampling(sampling: str) -> None:
    """Refuse an unknown way of choosing frames.

    Raises:
        ConfigError: it is unknown.
    """
    if sampling not in get_args(Sampling):
        raise ConfigError(f"sampling={sampling}: choose one of {', '.join(get_args(Sampling))}.")


def clip_frames(
    video: Video, start: int, stop: int, sample_fps: float, max_frames: int, sampling: Sampling
) -> ShownFrames:
    """The frames of [start, stop) that a model is shown: `sample_fps` per second, at most `max_frames`."""
    if sampling == "even":
        return ShownFrames(sample_frames(video, start, stop, sample_fps, max_frames))
    if not video.fps > 0:
        raise VideoError(f"{video.path}: has no frame rate; set data.fps, or sampling=even.")
    seconds = video.seconds(start), video.seconds(stop) if stop < video.n_frames else video.end(stop)
    return fps_filter(video, np.array(seconds[:1]), np.array(seconds[1:]), sample_fps, max_frames)[0]


def sample_frames(video: Video, start: int, stop: int, sample_fps: float, max_frames: int) -> tuple[int, ...]:
    """`sample_fps` frames per second of [start, stop), at most `max_frames`, evenly spaced; each frame once."""
    times = video.times
    if times is None:
        count = min(max_frames, max(1, int((stop - start) / (video.fps / sample_fps))))
        return evenly_spaced(start, stop, count)
    first, last = times.seconds(start), times.seconds(stop - 1)
    count = min(max_frames, max(1, int((times.end(stop) - first) * sample_fps + 1e-6)))
    return tuple(dict.fromkeys(times.frame_at(second) for second in np.linspace(first, last, count)))


def evenly_spaced(start: int, stop: int, count: int) -> tuple[int, ...]:
    """`count` frames of [start, stop), from first to last."""
    return tuple(int(frame) for frame in np.linspace(start, stop - 1, count))


def _segments(starts: Ints, stops: Ints, counts: Ints, at: Ints) -> tuple[Segment, ...]:
    """Segments [start, stop) with `counts` frames each, evenly spaced from first to last; all of shape (segments,).

    Segments with equally many frames share one call of `linspace`, which takes microseconds.
    """
    frames: dict[int, list[int]] = {}
    for count in np.unique(counts):
        indices = np.flatnonzero(counts == count)
        spaced = np.linspace(starts[indices], stops[indices] - 1, count, axis=1).astype(np.int64)
        frames.update(zip(indices.tolist(), spaced.tolist(), strict=True))
    intervals = zip(starts.tolist(), stops.tolist(), at.tolist(), strict=True)
    return tuple(Segment(start, stop, tuple(frames[k]), frame) for k, (start, stop, frame) in enumerate(intervals))
