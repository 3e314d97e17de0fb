from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation

from vaa.errors import ConfigError
from vaa.frame_times import FrameTimes
from vaa.stages.window import CentredFrames, CentredWindow, ConsecutiveWindow, TimedWindow, sample_frames
from vaa.types import Report, Segment, Video


def segments(n_frames: int, length: int = 30, shown: int = 8) -> tuple[Segment, ...]:
    return ConsecutiveWindow(length=length, n_frames=shown)(Report(Video("v", Path("v.mp4"), n_frames, 30.0))).segments


def test_eight_of_thirty_frames_are_truncated_to_integers() -> None:
    first, second = segments(60)
    assert first == Segment(0, 30, (0, 4, 8, 12, 16, 20, 24, 29), 0)  # linspace(0, 29, 8) = 0, 4.14, 8.29, ...
    assert second == Segment(30, 60, (30, 34, 38, 42, 46, 50, 54, 59), 30)


@pytest.mark.parametrize("n", [1, 7, 8])
def test_a_short_last_segment_has_all_frames(n: int) -> None:
    assert segments(30 + n)[1] == Segment(30, 30 + n, tuple(range(30, 30 + n)), 30)


def test_a_segment_of_one_frame_more_is_sampled() -> None:
    assert segments(9)[0].frames == (0, 1, 2, 3, 4, 5, 6, 8)


@pytest.mark.parametrize("n", [1, 29, 30, 31, 1412])
def test_consecutive_segments_cover_the_video(n: int) -> None:
    parts = segments(n)
    assert [frame for s in parts for frame in range(s.start, s.stop)] == list(range(n))
    assert all(s.at == s.start for s in parts)


@pytest.mark.parametrize(("length", "shown"), [(0, 8), (30, 0)])
def test_a_window_without_frames_is_refused(length: int, shown: int) -> None:
    with pytest.raises(ConfigError, match="window: "):
        ConsecutiveWindow(length=length, n_frames=shown)


@pytest.mark.parametrize("fps", [1.0, 12.5, 23.976, 30000 / 1001, 60.0])
@pytest.mark.parametrize(("seconds", "rate", "most"), [(10.0, 2.0, 10), (0.7, 8.0, 20), (3.3, 0.4, 4)])
@pytest.mark.parametrize("since", [0, 37])
def test_vectorised_windows_equal_those_computed_one_by_one(
    fps: float, seconds: float, rate: float, most: int, since: int
) -> None:
    video, half = Video("v", Path("v.mp4"), 1412, fps), seconds * fps / 2
    expected = []
    for at in range(since, 1412, 7):
        start, stop = max(0, round(at - half)), max(at + 1, min(1412, round(at + half)))
        expected.append(Segment(start, stop, sample_frames(video, start, stop, rate, most), at))
    assert CentredWindow(stride=7, seconds=seconds, sample_fps=rate, max_frames=most, sampling="even")(
        Report(video, first_frame=since)
    ).segments == tuple(expected)


def test_windows_in_seconds_follow_the_frames_own_times() -> None:
    times = FrameTimes(np.concatenate([np.arange(100) / 10, 110 + np.arange(100) / 10]))
    video = Video("v", Path("v.mp4"), 200, 200 / 120, times=times)
    window = CentredWindow(stride=50, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even")
    assert window(Report(video)).segments == (
        Segment(0, 50, sample_frames(video, 0, 50, 2.0, 10), 0),
        Segment(0, 100, sample_frames(video, 0, 100, 2.0, 10), 50),
        Segment(100, 150, sample_frames(video, 100, 150, 2.0, 10), 100),
        Segment(100, 200, sample_frames(video, 100, 200, 2.0, 10), 150),
    )
    assert sample_frames(video, 100, 200, 2.0, 4) == (100, 133, 166, 199)
    assert len(sample_frames(video, 0, 50, 2.0, 10)) == 10  # five seconds


def test_frames_are_spaced_in_time_and_shown_once() -> None:
    times = FrameTimes(np.array([0.0, 0.1, 0.2, 0.3, 4.0, 4.1]))
    video = Video("v", Path("v.mp4"), 6, 6 / 4.2, times=times)
    assert sample_frames(video, 0, 6, 2.0, 10) == (0, 4, 5)
    assert sample_frames(video, 2, 3, 2.0, 10) == (2,)


@pytest.mark.parametrize("fps", [10.0, 24.0, 30.0])
def test_times_of_a_constant_rate_give_the_same_windows_as_the_rate(fps: float) -> None:
    video = Video("v", Path("v.mp4"), 900, fps)
    timed = Video("v", Path("v.mp4"), 900, fps, times=FrameTimes(np.arange(900) / fps))
    window = CentredWindow(stride=16, seconds=10.0, sample_fps=2.0, max_frames=10, sampling="even")
    pairs = list(zip(window(Report(video)).segments, window(Report(timed)).segments, strict=True))
    assert [(s.start, s.stop, s.at) for s, _ in pairs] == [(s.start, s.stop, s.at) for _, s in pairs]
    assert all(abs(a - b) <= 1 for s, t in pairs for a, b in zip(s.frames, t.frames, strict=True))


@pytest.mark.parametrize(("fps", "length"), [(10.0, 30), (25.0, 75), (29.97, 90), (12.5, 38)])
def test_segments_of_seconds_cover_the_video_at_any_frame_rate(fps: float, length: int) -> None:
    video = Video("v", Path("v.mp4"), 1000, fps)
    parts = TimedWindow(seconds=3.0, n_frames=8)(Report(video)).segments
    assert [frame for s in parts for frame in range(s.start, s.stop)] == list(range(1000))
    assert all(abs(s.start / fps - 3.0 * k) <= 0.5 / fps + 1e-9 and s.at == s.start for k, s in enumerate(parts))
    assert {len(s.frames) for s in parts[:-1]} == {8}
    assert abs(parts[0].stop - length) <= 1
    later = TimedWindow(seconds=3.0, n_frames=8)(Report(video, first_frame=parts[2].start)).segments
    assert later == parts[2:]  # of a stream: segments do not depend on where one begins


def test_segments_of_seconds_follow_the_times_of_the_frames_and_skip_a_pause() -> None:
    times = FrameTimes(np.concatenate([np.arange(20) * 0.1, 30 + np.arange(20) * 0.2]))
    parts = TimedWindow(seconds=2.0, n_frames=4)(Report(Video("v", Path("v.mp4"), 40, 10.0, times=times))).segments
    assert [(s.start, s.stop) for s in parts] == [(0, 20), (20, 30), (30, 40)]


VERA = CentredFrames(stride=16, seconds=10.0, n_frames=8, spacing="parts")
LAVAD = CentredFrames(stride=16, seconds=10.0, n_frames=10, spacing="ends")


def test_veras_frames_are_those_of_the_authors_program() -> None:
    """150 frames before and after every 16th, cut at the ends; `arange` over them in eighths, truncated."""
    for seed in range(200):
        n = int(np.random.default_rng(seed).integers(1, 1200))
        windows = VERA(Report(Video("v", Path("v.mp4"), n, 30.0))).segments
        assert [window.at for window in windows] == list(range(0, n, 16))
        for window in windows:
            begin, end = max(window.at - 150.0, 0), min(window.at + 150.0, n)
            expected = np.arange(begin, end, (end - begin) / 8).astype(int)
            assert (window.start, window.stop, window.frames) == (begin, end, tuple(expected.tolist()))
            assert len(window.frames) == 8


def test_lavads_frames_are_those_of_the_authors_program() -> None:
    """At 30 or 24 frames a second: ten of the frames of a window, all where there are fewer."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, fps = int(rng.integers(1, 1200)), float(rng.choice([24.0, 30.0]))
        windows = LAVAD(Report(Video("v", Path("v.mp4"), n, fps))).segments
        assert [window.at for window in windows] == list(range(0, n, 16))
        for window in windows:
            around = range(max(window.at - int(10 * fps) // 2, 0), min(window.at + int(10 * fps) // 2, n))
            expected = (
                around if len(around) <= 10 else [around[k] for k in np.linspace(0, len(around) - 1, 10, dtype=int)]
            )
            assert (window.start, window.stop) == (around.start, around.stop)
            assert window.frames == tuple(expected)


def test_corevads_frames_are_those_of_the_authors_program() -> None:
    """Pieces of 30 frames: eight by `linspace`, truncated; all frames of a piece of eight or fewer."""
    for seed in range(200):
        n = int(np.random.default_rng(seed).integers(1, 1200))
        expected = []
        for begin in range(0, n, 30):
            end = min(begin + 30, n)
            frames = list(range(begin, end))
            expected.append(frames if len(frames) <= 8 else np.linspace(begin, end - 1, 8, dtype=np.int32).tolist())
        assert [list(segment.frames) for segment in segments(n)] == expected


@pytest.mark.parametrize("window", [VERA, LAVAD], ids=["parts", "ends"])
@pytest.mark.parametrize("fps", [10.0, 24.0, 30.0])
def test_centred_frames_by_times_of_a_constant_rate_equal_those_by_the_rate(window: CentredFrames, fps: float) -> None:
    video = Video("v", Path("v.mp4"), 900, fps)
    timed = Video("v", Path("v.mp4"), 900, fps, times=FrameTimes(np.arange(900) / fps))
    pairs = list(zip(window(Report(video)).segments, window(Report(timed)).segments, strict=True))
    assert [(s.start, s.stop, s.at) for s, _ in pairs] == [(s.start, s.stop, s.at) for _, s in pairs]
    assert all(abs(a - b) <= 1 for s, t in pairs for a, b in zip(s.frames, t.frames, strict=True))


def test_the_frame_of_a_part_is_the_one_shown_as_it_begins() -> None:
    times = FrameTimes(np.array([0.0, 0.1, 0.2, 0.3, 4.0, 4.1, 4.2, 4.3]))
    video = Video("v", Path("v.mp4"), 8, 8 / 4.4, times=times)
    window = CentredFrames(stride=8, seconds=20.0, n_frames=4, spacing="parts")
    assert window(Report(video)).segments == (Segment(0, 8, (0, 3, 3, 3), 0),)  # at 0, 1.1, 2.2 and 3.3 s


@pytest.mark.parametrize(
    "fields", [{"stride": 0}, {"seconds": 0.0}, {"n_frames": 0}, {"spacing": "middles"}], ids=lambda fields: str(fields)
)
def test_invalid_centred_frames_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises((ConfigError, BeartypeCallHintParamViolation)):
        CentredFrames(**{"stride": 16, "seconds": 10.0, "n_frames": 8, "spacing": "parts", **fields})  # type: ignore[arg-type]
