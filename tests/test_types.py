from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import VaaError, VideoError
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
