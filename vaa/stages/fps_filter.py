"""The frames that VideoLLaMA3's processor takes from a clip: FFmpeg's fps filter, thinned evenly (used by URF).

The filter (`fps=RATE:round=down`) gives a frame each 1 / RATE seconds from the start of the clip. The k-th of them is
the last frame shown before the (k + 1)-th tick, but has the time of the k-th: up to 1 / RATE seconds too early.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaa.types import Floats, Ints, Video

_TOLERANCE = 1e-4
"""Frames, or seconds where the rate varies, by which a frame may miss a tick: rounding, as of a time base."""
_SHORT = 1.0
"""Seconds below which a clip is not decoded by FFmpeg."""


@dataclass(frozen=True)
class ShownFrames:
    """Frames of a clip, and the seconds that a prompt has for them; `times` is empty for the frames' own."""

    frames: tuple[int, ...]
    times: tuple[float, ...] = ()


def fps_filter(video: Video, starts: Floats, ends: Floats, rate: float, max_frames: int) -> list[ShownFrames]:
    """The frames of the clips [start, end), in seconds, `rate` per second and at most `max_frames` of a clip.

    `starts` and `ends` have the shape (clips,). A frame occurs more than once where the video has fewer than `rate` per
    second. The processor's times are those of the ticks before the frames.
    """
    fps = video.fps
    first = np.minimum(_frame_at(video, starts), video.n_frames - 1)
    begin = first / fps if video.times is None else np.array([video.times.seconds(int(frame)) for frame in first])
    # A clip ends with the first frame that is as much later than its own first frame as it is long.
    stop = np.clip(_frame_at(video, begin + (ends - starts)), first + 1, video.n_frames)
    end = stop / fps if video.times is None else np.array([_end(video, int(frame)) for frame in stop])
    counts = np.maximum(1, np.floor((end - starts) * rate + _TOLERANCE)).astype(np.int64)
    ticks = starts[:, None] + np.arange(counts.max(initial=1) + 1) / rate
    shown = np.clip(_frame_at(video, ticks[:, 1:]) - 1, first[:, None], stop[:, None] - 1)
    clips: dict[int, ShownFrames] = {}
    for count in np.unique(counts):  # clips of equally many frames together: a call of NumPy takes microseconds
        rows = np.flatnonzero(counts == count)
        taken = _thinned(int(count), max_frames)
        frames, times = shown[rows][:, taken].tolist(), ticks[rows][:, taken].tolist()
        clips.update(
            (row, ShownFrames(tuple(own), tuple(seconds)))
            for row, own, seconds in zip(rows.tolist(), frames, times, strict=True)
        )
    for k in np.flatnonzero(ends - starts < _SHORT).tolist():
        clips[k] = ShownFrames(_short_clip(video, float(starts[k]), float(ends[k]), rate, max_frames))
    return [clips[k] for k in range(len(starts))]


def _frame_at(video: Video, seconds: Floats) -> Ints:
    """The first frame that is shown at each of these times or later."""
    frames: Ints
    if video.times is None:
        frames = np.ceil(seconds * video.fps - _TOLERANCE).astype(np.int64)
    else:
        frames = video.times.first + np.searchsorted(video.times.values, seconds - _TOLERANCE)
    return frames


def _end(video: Video, stop: int) -> float:
    """When the clip before `stop` ends: the time of the frame `stop`, at the end of the video that of its end."""
    return video.seconds(stop) if stop < video.n_frames else video.end(stop)


def _thinned(count: int, most: int) -> Ints:
    """Which of `count` frames are taken."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most, dtype=np.int64)


def _short_clip(video: Video, start: float, end: float, rate: float, max_frames: int) -> tuple[int, ...]:
    """The frames of a clip of less than a second, which the processor takes by number instead of time.

    Both borders are one frame earlier there; of every `rate`-th part of a second it takes the middle frame.
    """
    last = video.n_frames - 1
    first = min(max(int(start * video.fps) - 1, 0), last)
    frames = np.arange(first, max(first, min(int(end * video.fps) - 1, last)) + 1)
    if len(frames) / video.fps < max_frames:
        step = max(1, int(min(video.fps // rate, len(frames))))
        return tuple(frames[step // 2 :: step].tolist())
    return tuple(frames[_thinned(len(frames), max_frames)].tolist())
