"""Frames by FFmpeg's fps filter: the reference is libavfilter's own filter, fed with numbered frames."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaa.errors import ConfigError, VideoError
from vaa.frame_times import FrameTimes
from vaa.stages.fps_filter import fps_filter
from vaa.stages.window import CentredWindow, check_sampling, clip_frames
from vaa.types import Report, Video

RATES = [Fraction(30), Fraction(25), Fraction(24), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15)]


def libavfilter(pts: list[int], ticks: int, start: float, duration: float, rate: float) -> list[int]:
    """The frames that `ffmpeg -ss START -t DURATION -i FILE -vf fps=RATE:round=down` writes, by their number in `pts`.

    `ticks` per second is the time base. ffmpeg cuts start and duration to microseconds, rounds the start to the time
    base, and writes at a constant rate, so the first frame is repeated where the filter's first is not at 0.
    """
    import av

    graph, base = av.filter.Graph(), Fraction(1, ticks)
    source = graph.add_buffer(width=4, height=2, format="gray", time_base=base)
    steps = [
        graph.add("trim", f"start=0:duration={int(duration * 1e6)}us"),
        graph.add("fps", f"fps={rate}:round=down"),
        graph.add("buffersink"),
    ]
    for one, two in zip([source, *steps], steps, strict=False):
        one.link_to(two)
    graph.configure()
    offset, shown = round(Fraction(int(start * 1e6), 10**6) / base), dict[int, int]()

    def collect() -> None:
        while True:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            high, low = frame.to_ndarray()[0, :2].tolist()
            shown[frame.pts] = 256 * high + low

    for number, at in enumerate(pts):
        if at < offset - ticks:  # long before the clip
            continue
        frame = av.VideoFrame.from_ndarray(np.array([[*divmod(number, 256), 0, 0]] * 2, dtype=np.uint8), format="gray")
        frame.pts, frame.time_base = at - offset, base
        frame.duration = pts[number + 1] - at if number + 1 < len(pts) else at - pts[number - 1]
        try:
            source.push(frame)
        except av.error.EOFError:  # the clip has ended
            break
        collect()
    else:
        source.push(None)
    collect()
    first = min(shown)
    return [shown[max(k, first)] for k in range(max(shown) + 1)]


def clips(video: Video, start: float, end: float, rate: float) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Frames and times of one clip, at most ten."""
    shown = fps_filter(video, np.array([start]), np.array([end]), rate, 10)
    return [(each.frames, each.times) for each in shown]


def thinned(frames: list[Any], most: int) -> tuple[Any, ...]:
    """VideoLLaMA3's processor: all, or `most` of them by `linspace`, cut to integers."""
    if len(frames) <= most:
        return tuple(frames)
    return tuple(frames[place] for place in np.linspace(0, len(frames) - 1, most).astype(int))


def constant(n: int, fps: Fraction) -> tuple[Video, list[int], int]:
    """A video, and the time stamps of its frames in ticks with the ticks per second, as an MP4 file has them."""
    return Video("v", Path("v.mp4"), n, float(fps)), [k * fps.denominator for k in range(n)], fps.numerator


def test_the_frames_are_those_of_libavfilter_in_200_random_clips() -> None:
    draw, n_different = random.Random(5), 0
    for _ in range(200):
        fps, rate = draw.choice(RATES), draw.choice([1, 2, 2, 18])
        video, pts, ticks = constant(draw.randint(40, 330), fps)
        end = video.n_frames / float(fps)
        centre = draw.randrange(0, video.n_frames, 16) / float(fps)
        start, stop = max(0.0, centre - 5.0), min(end, centre + 5.0)
        shown = libavfilter(pts, ticks, start, stop - start, rate)
        expected, seconds = thinned(shown, 10), [start + k / rate for k in range(len(shown))]
        ((frames, times),) = clips(video, start, stop, rate)
        assert frames == expected, (fps, rate, video.n_frames, start, stop)
        assert times == pytest.approx(thinned(seconds, 10))
        n_different += frames != tuple(np.linspace(expected[0], expected[-1], len(expected), dtype=int).tolist())
    assert n_different > 100


def test_a_window_in_frames_is_cut_like_by_libavfilter() -> None:
    video, pts, ticks = constant(900, Fraction(30))
    for start, stop in ((96, 396), (0, 300), (608, 900), (13, 500)):
        expected = thinned(libavfilter(pts, ticks, start / 30, (stop - start) / 30, 18), 180)
        assert clip_frames(video, start, stop, 18.0, 180, "fps_filter").frames == expected


def test_the_first_tick_shows_the_frame_before_it() -> None:
    video = Video("v", Path("v.mp4"), 300, 30.0)
    slow = clip_frames(video, 0, 300, 1.0, 16, "fps_filter")
    assert (slow.frames, slow.times) == (tuple(range(29, 300, 30)), tuple(range(10)))
    fast = clip_frames(video, 0, 300, 2.0, 10, "fps_filter")
    assert fast.frames == (14, 44, 74, 104, 134, 164, 194, 224, 254, 299)
    assert fast.times == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9.5)
    assert clip_frames(video, 0, 300, 1.0, 16, "even").times == ()


def test_frames_of_a_varying_rate_are_those_of_libavfilter() -> None:
    draw = random.Random(6)
    for _ in range(40):
        pts = np.cumsum([0, *(draw.choice([33, 34, 50, 200]) for _ in range(200))]).tolist()
        video = Video("v", Path("v.mp4"), 201, 1000 * 200 / pts[-1], times=FrameTimes(np.array(pts) / 1000))
        start = draw.randrange(0, pts[-1] - 3000) / 1000
        expected = thinned(libavfilter(pts, 1000, start, 2.0, 2), 10)
        ((frames, _),) = clips(video, start, start + 2.0, 2.0)
        assert frames == expected


def by_number(n: int, fps: float, start: float, end: float, rate: float, most: int) -> tuple[int, ...]:
    """VideoLLaMA3's rule for clips of less than a second, statement by statement."""
    first = max(int(start * fps) - 1, 0)
    last = min(int(end * fps) - 1, n - 1)
    indices = list(range(first, last + 1))
    if len(indices) / fps < most:
        step = int(min(fps // rate, len(indices)))
        return tuple(indices[place] for place in range(step // 2, len(indices), step))
    return thinned(indices, most)


def test_clips_of_less_than_a_second_are_taken_by_number() -> None:
    draw = random.Random(7)
    for _ in range(200):
        fps, rate, n = float(draw.choice(RATES[:4])), draw.choice([1.0, 2.0, 18.0]), draw.randint(30, 90)
        start = draw.randrange(n - 28) / fps
        end = start + draw.randint(2, 23) / fps
        expected = by_number(n, fps, start, end, rate, 10)
        assert clips(Video("v", Path("v.mp4"), n, fps), start, end, rate) == [(expected, ())]


@pytest.mark.parametrize("fps", [30.0, 25.0, 30000 / 1001, 10.0])
def test_a_centred_window_is_cut_at_exact_seconds_and_has_the_filters_frames(fps: float) -> None:
    video = Video("v", Path("v.mp4"), 700, fps)
    window = CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="fps_filter")
    even = CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even")
    segments = window(Report(video)).segments
    assert [segment.at for segment in segments] == list(range(0, 700, 16))
    for segment, other in zip(segments, even(Report(video)).segments, strict=True):
        start, end = max(0.0, segment.at / fps - 5), min(700 / fps, segment.at / fps + 5)
        assert [(segment.frames, segment.times)] == clips(video, start, end, 2.0)
        assert abs(segment.start - other.start) <= 1
        assert abs(segment.stop - other.stop) <= 1
        assert segment.start <= segment.frames[0] <= segment.frames[-1] < segment.stop


def test_an_unknown_sampling_and_a_video_without_a_rate_are_refused() -> None:
    with pytest.raises(ConfigError, match="sampling=odd: choose one of even, fps_filter"):
        check_sampling("odd")
    with pytest.raises(VideoError, match="no frame rate"):
        clip_frames(Video("v", Path("v.mp4"), 30, 0.0), 0, 30, 2.0, 10, "fps_filter")
