from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaa.evaluation.alert_intervals import Hysteresis, alert_intervals, extend, recorded_seconds
from vaa.frame_times import FrameTimes
from vaa.types import Video

MOTION = FrameTimes(np.concatenate([np.arange(100) / 10, 110 + np.arange(100) / 10]))
"""200 frames at ten a second, with a pause of 100 s in the middle."""


def video(n_frames: int, times: FrameTimes | None = None) -> Video:
    return Video("clip", Path("v.mp4"), n_frames, 10.0, times=times)


def slow_alerts(scores: list[float], threshold: float, end: float, gap: int, shortest: int, padding: int) -> set[int]:
    """The frames of all alerts, of a video at ten frames a second; durations in frames."""
    active, before = set(), False
    for frame, score in enumerate(scores):
        before = score >= end if before else score >= threshold
        active |= {frame} if before else set()
    alert_frames = sorted(active)
    for one, other in pairwise(alert_frames):
        if other - one - 1 < gap:
            active |= {*range(one, other)}
    padded: set[int] = set()
    for start in [frame for frame in active if frame - 1 not in active]:
        stop = next(frame for frame in range(start, len(scores) + 1) if frame not in active)
        if stop - start >= shortest:
            padded |= {*range(max(0, start - padding), min(len(scores), stop + padding))}
    return padded


@settings(max_examples=300, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, float("nan")]), max_size=40),
    threshold=st.sampled_from([0.4, 0.5, 0.9]),
    end=st.sampled_from([0.2, 0.3, 0.4]),
    frames=st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)),
)
def test_the_frames_of_alerts_are_those_of_the_rule(
    scores: list[float], threshold: float, end: float, frames: tuple[int, int, int]
) -> None:
    gap, shortest, padding = frames
    hysteresis = Hysteresis(threshold=threshold, end=end)
    rest = {"gap": gap / 10, "shortest": shortest / 10, "padding": padding / 10}
    found = alert_intervals(np.array(scores), video(len(scores)), hysteresis, **rest)
    assert {frame for interval in found for frame in range(*interval)} == slow_alerts(scores, threshold, end, *frames)
    assert all(stop < start for (_, stop), (start, _) in pairwise(found))
    active, marks = False, []
    for score in scores:
        active = hysteresis.active(score, active)
        marks.append(active)
    assert hysteresis.mask(np.array(scores)).tolist() == marks


@pytest.mark.parametrize(
    ("high", "low", "padding", "expected"),
    [
        ([(90, 100)], [(100, 120)], 0.0, [(90, 100)]),  # a pause ends an alert, although scores stay above `end`
        ([(90, 110)], [], 0.0, [(90, 100), (100, 110)]),
        ([(90, 95), (105, 110)], [], 1.0, [(80, 100), (100, 120)]),  # padding is cut at the pause
        ([(3, 10), (195, 199)], [], 1.0, [(0, 20), (185, 200)]),
        ([(20, 30), (45, 60)], [], 1.0, [(10, 70)]),
        ([(20, 30), (50, 60)], [], 1.0, [(10, 70)]),  # they meet
        ([(20, 30), (51, 60)], [], 1.0, [(10, 40), (41, 70)]),
        ([(20, 30), (39, 50)], [], 0.0, [(20, 50)]),  # less than the gap apart
        ([(20, 30), (40, 50)], [], 0.0, [(20, 30), (40, 50)]),
        ([(20, 23), (40, 42)], [], 0.0, [(20, 23)]),  # the shortest alert, and one that is too short
    ],
)
def test_pauses_and_padding(
    high: list[tuple[int, int]], low: list[tuple[int, int]], padding: float, expected: list[tuple[int, int]]
) -> None:
    scores = np.zeros(200)
    for value, parts in ((0.4, low), (0.9, high)):
        for start, stop in parts:
            scores[start:stop] = value
    motion = Video("clip", Path("v.mp4"), 200, 200 / 120, times=MOTION)
    rule = Hysteresis(threshold=0.5, end=0.3)
    assert alert_intervals(scores, motion, rule, gap=1.0, shortest=0.3, padding=padding) == expected


def test_seconds_become_frames_of_the_rate_or_the_times() -> None:
    odd = Video("clip", Path("v.mp4"), 300, 30000 / 1001)
    assert extend(odd, (100, 110), before=1.001, after=1.001) == (70, 140)
    assert extend(video(300), (5, 290), before=2.0, after=2.0) == (0, 300)
    paused = video(200, FrameTimes(np.concatenate([np.arange(100) / 10, 12 + np.arange(100) / 10])))
    assert extend(paused, (90, 95), before=3.0, after=3.0) == (60, 100)  # the pause is shorter than that
    assert extend(paused, (105, 110), before=3.0, after=3.0) == (100, 140)
    assert recorded_seconds(Video("clip", Path("v.mp4"), 200, 200 / 120, times=MOTION)) == pytest.approx(20.0)
    assert recorded_seconds(odd) == pytest.approx(10.01)
