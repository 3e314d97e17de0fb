from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import VaaError, VideoError
from vaa.frame_times import FrameTimes
from vaa.types import GenerateQuery, ScoreTrack, Video


def track(values: list[float], starts: list[int]) -> ScoreTrack:
    return ScoreTrack(np.array(values, dtype=np.float64), np.array(starts, dtype=np.int64))


@pytest.mark.parametrize(
    ("values", "starts", "n_frames", "expected"),
    [
        ([1, 2, 3], [0, 16, 32], 40, [1] * 16 + [2] * 16 + [3] * 8),
        ([1, 2, 3], [0, 16, 32], 200, [1] * 16 + [2] * 16 + [3] * 16),  # the last as long as the one before it
        ([1, 2], [0, 5], 3, [1] * 3),
        ([7], [0], 4, [7] * 4),
        ([1, 2], [4, 6], 20, [1, 1, 2, 2]),
        ([1, 2, 3], [0, 2, 10], 14, [1] * 2 + [2] * 8 + [3] * 4),
        ([1, 2, 3], [2, 3, 4], 4, [1, 2]),  # one a frame already
        ([1], [9], 5, []),
        ([], [], 5, []),
    ],
)
def test_per_frame(values: list[float], starts: list[int], n_frames: int, expected: list[float]) -> None:
    frames = track(values, starts).per_frame(n_frames)
    assert frames.values.tolist() == expected
    assert frames.starts.tolist() == [*range(min(starts, default=0), min(starts, default=0) + len(expected))]


@pytest.mark.parametrize(("n_values", "n_starts"), [((3,), (2,)), ((2, 2), (2, 2))])
def test_values_and_starts_must_have_equal_lengths(n_values: tuple[int, ...], n_starts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="values for"):
        ScoreTrack(np.zeros(n_values), np.zeros(n_starts, dtype=np.int64))


def test_queries_are_hashable_values() -> None:
    queries = [
        GenerateQuery(
            purpose="p", video=Video("v", Path("v.mp4"), 9, 30.0), at=0, frames=(0, 1), text="what?", max_new_tokens=8
        )
        for _ in range(2)
    ]
    assert len(set(queries)) == 1
    with pytest.raises(FrozenInstanceError):
        queries[0].text = "else"  # type: ignore[misc]


def test_a_video_error_is_a_vaa_error() -> None:
    assert issubclass(VideoError, VaaError)


MOTION = np.concatenate([np.arange(100) / 10, 110 + np.arange(100) / 10])
"""200 frames at ten a second, with a pause of 100 s in the middle."""


def test_frame_times_with_a_pause() -> None:
    times = FrameTimes(MOTION)
    assert times.pauses == (100,)
    assert [times.seconds(frame) for frame in (0, 1, 99, 100, 150)] == [0.0, 0.1, 9.9, 110.0, 115.0]
    assert [times.seconds(frame) for frame in (200, 300)] == [120.0, 120.0]
    assert [times.end(stop) for stop in (0, 50, 100, 101, 200, 300)] == [0.0, 5.0, 10.0, 110.1, 120.0, 120.0]
    assert [times.frame_at(s) for s in (-1.0, 0.0, 0.1, 0.11, 50.0, 110.0, 500.0)] == [0, 0, 1, 2, 100, 100, 200]


def test_frame_times_of_the_stored_part_of_a_stream() -> None:
    times = FrameTimes(MOTION[40:120], 40)
    assert times.pauses == (100,)
    assert [times.seconds(frame) for frame in (0, 40, 41, 119, 120)] == [4.0, 4.0, 4.1, 111.9, 112.0]
    assert [times.end(stop) for stop in (10, 100, 120)] == [4.0, 10.0, 112.0]
    assert [times.frame_at(s) for s in (0.0, 4.1, 60.0, 112.0)] == [40, 41, 100, 120]


def test_small_changes_of_the_rate_are_no_pauses() -> None:
    times = FrameTimes(np.cumsum([0.0, 0.033, 0.066, 0.033, 0.2, 0.033]))
    assert times.pauses == ()
    assert times.end(3) == times.seconds(3)
    assert FrameTimes(np.array([0.0])).end(1) == 0.0


def test_seconds_of_a_constant_rate_are_the_frame_divided_by_it() -> None:
    video = Video("v", Path("v.mp4"), 100, 29.97)
    assert [video.seconds(frame) for frame in (0, 7, 100)] == [0.0, 7 / 29.97, 100 / 29.97]
    assert video.end(30) == 30 / 29.97
    assert replace(video, fps=0.0).seconds(50) == 2.0
    assert replace(video, times=FrameTimes(MOTION)) == video  # times follow from the file
    assert "times" not in repr(video)
