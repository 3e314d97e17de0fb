from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vaa.evaluation.events import event_metrics, video_events
from vaa.frame_times import FrameTimes
from vaa.types import Video


def labels(n_frames: int, *events: tuple[int, int]) -> np.ndarray:
    marked = np.zeros(n_frames, dtype=np.bool_)
    for start, stop in events:
        marked[start:stop] = True
    return marked


@pytest.mark.parametrize(
    ("alerts", "delays", "false_alerts"),
    [
        ([], (), 0),
        ([(0, 50)], (), 1),  # ends where the event starts
        ([(0, 51)], (0.0,), 0),
        ([(99, 120), (70, 80)], (2.0,), 0),  # the first of two counts
        ([(100, 150)], (), 1),
        ([(70, 320)], (2.0, 0.0), 0),  # one alert hits two events
        ([(10, 20), (310, 330), (400, 500)], (1.0,), 2),
    ],
)
def test_hits_delays_and_false_alerts(
    alerts: list[tuple[int, int]], delays: tuple[float, ...], false_alerts: int
) -> None:
    video = Video("v", Path("v.mp4"), 500, 10.0)
    result = video_events(video, labels(500, (50, 80), (80, 100), (300, 350)), alerts)
    assert result.events == 2  # those that touch are one
    assert (result.delays, result.false_alerts, result.alerts) == (delays, false_alerts, len(alerts))


def test_the_metrics_are_over_all_videos() -> None:
    one, two = Video("one", Path("1.mp4"), 18000, 10.0), Video("two", Path("2.mp4"), 18000, 10.0)
    truth = {"one": labels(18000, (100, 200), (500, 600)), "two": labels(18000)}
    alerts = {"one": [(110, 120), (540, 800)], "two": [(0, 10), (20, 30), (40, 50)]}
    assert event_metrics([one, two], truth, alerts) == {
        "events": 2,
        "events_hit": 2,
        "alerts": 5,
        "false_alerts": 3,
        "false_alerts_per_hour": 3.0,
        "median_delay_s": 2.5,
    }
    missed = event_metrics([one], truth, {})
    assert (missed["events_hit"], missed["false_alerts_per_hour"]) == (0, 0.0)
    assert math.isnan(missed["median_delay_s"])
    assert event_metrics([], truth, alerts) == {}


def test_pauses_of_the_recording_are_no_footage_and_delays_follow_the_times_of_frames() -> None:
    times = FrameTimes(np.concatenate([np.arange(100) / 10, 3590 + np.arange(100) / 10]))
    video = Video("motion", Path("v.mp4"), 200, 200 / 3600, times=times)
    result = video_events(video, labels(200, (50, 60), (95, 110)), [(55, 58), (102, 105)])
    assert result.seconds == pytest.approx(20.0)
    assert result.delays == pytest.approx((0.5, 3580.7))
    assert event_metrics([video], {"motion": labels(200)}, {"motion": [(0, 10)]})["false_alerts_per_hour"] == 180.0
