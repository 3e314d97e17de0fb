from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import VaaError
from vaa.evaluation.protocol import Protocol
from vaa.report.alerts import Alerts, clock, read, said_in
from vaa.types import Report, Response, ScoreTrack, Segment, Video

ALERTS = Alerts(threshold=0.5, gap=2.0, shortest=1.0)
PROTOCOL = Protocol("p", None, True, "pr_auc", "float64", 0.0)


def told(values: list[float], texts: list[str], video: str = "clip", every: int = 10) -> Report:
    """A video of 10 frames a second with a segment for each value; the texts were said of them."""
    n = len(values)
    segments = tuple(Segment(k * every, (k + 1) * every, (k * every,), k * every) for k in range(n))
    track = ScoreTrack(np.array(values), np.arange(0, n * every, every, dtype=np.int64))
    responses = tuple(Response(f"Verdict: {text}", 0.0, text) for text in texts)
    return Report(Video(video, Path("v.mp4"), n * every, 10.0), segments, responses, track)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.4] * 50, []),
        ([0.5] * 50, [(0, 50)]),
        ([0.0] * 10 + [0.9] * 10 + [0.0] * 30, [(10, 20)]),
        ([0.0] * 10 + [0.9] * 9 + [0.0] * 30, []),  # shorter than a second
        ([0.9] * 5 + [0.0] * 19 + [0.9] * 6, [(0, 30)]),  # 1.9 s apart: one
        ([0.9] * 10 + [0.0] * 20 + [0.9] * 10, [(0, 10), (30, 40)]),  # 2 s apart: two
        ([float("nan")] * 20 + [0.9] * 20, [(20, 40)]),
    ],
)
def test_intervals_are_where_scores_are_high_for_long_enough(
    scores: list[float], expected: list[tuple[int, int]]
) -> None:
    assert ALERTS.intervals(np.array(scores), 10.0) == expected


def test_an_alert_says_when_how_much_and_what(tmp_path: Path) -> None:
    quiet = told([0.1, 0.2], ["a", "b"], "quiet")
    loud = told([0.0] * 70 + [0.6, 0.9, 0.6] + [0.0] * 7, [f"scene {k}" for k in range(80)], "loud")
    (found,) = ALERTS.write(tmp_path, [quiet, replace(loud, tags="fight")], PROTOCOL)
    assert (found.video, found.start, found.stop, found.peak, found.times()) == (
        *("loud", 700, 730, 710),
        ("0:01:10", "0:01:13"),
    )
    assert (found.highest, found.mean, found.what, found.tags) == (0.9, 0.7, "scene 71", "fight")
    whole = json.loads((tmp_path / "alerts.json").read_text())
    assert whole == read(tmp_path)
    assert (whole["threshold"], whole["gap"], whole["shortest"]) == (0.5, 2.0, 1.0)
    assert "not tuned" in whole["meaning"]
    assert whole["alerts"][0] | {"from": "0:01:10", "start_seconds": 70.0, "what": "scene 71"} == whole["alerts"][0]
    with (tmp_path / "alerts.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["video"], row["from"], row["to"], row["highest"]) == ("loud", "0:01:10", "0:01:13", "0.9")
    assert (row["what"], row["threshold"]) == ("scene 71", "0.5")


def test_the_highest_comes_first_and_what_falls_back_to_tags_and_summary(tmp_path: Path) -> None:
    low, high = told([0.6, 0.6], [], "a"), told([0.8, 0.8], [], "b")
    silent = told([0.7, 0.7], [], "c")
    reports = [replace(low, tags="smoke"), replace(high, summary="A car burns."), silent]
    assert [(alert.video, alert.what) for alert in ALERTS.write(tmp_path, reports, PROTOCOL)] == [
        ("b", "A car burns."),
        ("c", ""),
        ("a", "smoke"),
    ]


def test_a_spreadsheet_runs_nothing_that_a_model_said(tmp_path: Path) -> None:
    ALERTS.write(tmp_path, [told([0.9, 0.9], ["=cmd()", "=cmd()"])], PROTOCOL)
    with (tmp_path / "alerts.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["what"] == "'=cmd()"


def test_a_video_without_scores_has_no_alert(tmp_path: Path) -> None:
    assert ALERTS.write(tmp_path, [replace(told([0.9], ["x"]), track=None)], PROTOCOL) == []
    assert json.loads((tmp_path / "alerts.json").read_text())["alerts"] == []


def test_the_segment_that_scored_highest_speaks_or_the_one_nearest_to_the_peak() -> None:
    segments = tuple(Segment(0, 150, (at,), at) for at in (0, 16, 32, 48))
    said = (("w", 1.0, ""), ("x", 0.8, ""), ("y", 0.8, "two"), ("z", math.nan, ""))
    report = Report(Video("clip", Path("v.mp4"), 300, 10.0), segments, tuple(Response(*each) for each in said))
    asked = [(0, 60, 40), (1, 60, 40), (1, 60, 17), (40, 60, 50), (200, 300, 250)]
    assert [said_in(report, *interval) for interval in asked] == ["w", "two", "x", "z", "w"]
    assert said_in(replace(report, responses=()), 0, 60, 40) == ""


@pytest.mark.parametrize("field", ["threshold", "gap", "shortest"])
def test_fields_that_make_no_sense_are_refused(field: str) -> None:
    with pytest.raises(VaaError, match=r"alerts:.*nan"):
        replace(ALERTS, **{field: float("nan")})


def test_times_are_read_as_a_clock() -> None:
    assert [clock(seconds) for seconds in (0.99, 59.9, 61, 3725)] == ["0:00:00", "0:00:59", "0:01:01", "1:02:05"]
