from __future__ import annotations

import csv
import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import odd_videos
import pytest
from alert_rules import alert_rule

from vaa.errors import ConfigError
from vaa.evaluation.evaluation import Evaluation, evaluate
from vaa.evaluation.protocol import Protocol
from vaa.frame_times import FrameTimes
from vaa.pipeline import RunResult
from vaa.report.alerts import Alert, by_video, clock, read_alerts, text_in
from vaa.types import Dataset, DefinitionTrack, GroundTruth, Report, Response, ScoreTrack, Segment, Span, Video
from vaa.video import sources

RULE = alert_rule(shortest=1.0)
PROTOCOL = Protocol(
    name="p", labels=None, end_inclusive=True, precision="float64", pad=0.0, smooth=0.0, transform="none", metrics={}
)


def scored(values: list[float], texts: list[str], video: str = "clip", every: int = 10) -> Report:
    """A video of 10 frames a second with a segment and a text for each value."""
    n = len(values)
    segments = tuple(Segment(k * every, (k + 1) * every, (k * every,), k * every) for k in range(n))
    track = ScoreTrack(np.array(values), np.arange(0, n * every, every, dtype=np.int64))
    responses = tuple(Response(f"Verdict: {text}", 0.0, text) for text in texts)
    return Report(Video(video, Path("v.mp4"), n * every, 10.0), segments, responses, track)


def evaluation(*reports: Report, truths: dict[str, GroundTruth] | None = None) -> Evaluation:
    result = RunResult({report.video.id: report for report in reports})
    return evaluate(result=result, dataset=Dataset("ours", (), truths or {}, ()), protocol=PROTOCOL)


def written(folder: Path, *reports: Report) -> list[Alert]:
    alerts = RULE.find_all(evaluation(*reports))
    RULE.write(folder, alerts)
    return alerts


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
def test_intervals_have_high_scores_for_long_enough(scores: list[float], expected: list[tuple[int, int]]) -> None:
    assert RULE.intervals(np.array(scores), Video("clip", Path("v.mp4"), len(scores), 10.0)) == expected


MOTION = FrameTimes(np.concatenate([np.arange(100) / 10, 110 + np.arange(100) / 10]))
"""200 frames at ten a second, with a pause of 100 s in the middle."""


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        ([(150, 200)], [(150, 200)]),
        ([(90, 110)], [(90, 100), (100, 110)]),  # a pause lies between
        ([(20, 30), (49, 60)], [(20, 60)]),  # 1.9 s apart
        ([(20, 30), (50, 60)], [(20, 30), (50, 60)]),  # 2 s apart
        ([(91, 100)], []),  # 0.9 s, though 100 s by the next frame
        ([(90, 100)], [(90, 100)]),
    ],
)
def test_gaps_and_lengths_are_those_of_the_frames_own_times(
    high: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    scores = np.zeros(200)
    for start, stop in high:
        scores[start:stop] = 0.9
    assert RULE.intervals(scores, Video("clip", Path("v.mp4"), 200, 200 / 120, times=MOTION)) == expected


def test_alerts_of_a_motion_triggered_recording(tmp_path: Path) -> None:
    report = scored([0.0] * 15 + [0.9] * 5, ["scene"] * 20)
    motion = replace(report, video=replace(report.video, fps=200 / 120, times=MOTION))
    (alert,) = written(tmp_path, motion)
    assert alert.times() == ("0:01:55", "0:02:00")
    (row,) = json.loads((tmp_path / "alerts.json").read_text())["alerts"]
    assert [row[name] for name in ("start", "stop", "start_seconds", "stop_seconds", "peak_seconds")] == [
        *(150, 200, 115.0, 120.0, 117.4)
    ]
    with (tmp_path / "alerts.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["from"], line["to"], line["start_seconds"]) == ("0:01:55", "0:02:00", "115.0")


def test_an_alert_has_times_scores_and_the_text(tmp_path: Path) -> None:
    quiet = scored([0.1, 0.2], ["a", "b"], "quiet")
    loud = scored([0.0] * 70 + [0.6, 0.9, 0.6] + [0.0] * 7, [f"scene {k}" for k in range(80)], "loud")
    (alert,) = written(tmp_path, quiet, replace(loud, tags="fight"))
    assert (alert.video, alert.start, alert.stop, alert.peak, alert.times()) == (
        *("loud", 700, 730, 714),
        ("0:01:10", "0:01:13"),
    )
    assert (alert.highest, alert.mean, alert.text, alert.tags) == (0.9, 0.7, "scene 71", "fight")
    content = json.loads((tmp_path / "alerts.json").read_text())
    assert content == read_alerts(tmp_path)
    assert (content["threshold"], content["gap"], content["shortest"]) == (0.5, 2.0, 1.0)
    assert "not tuned" in content["description"]
    assert content["alerts"][0] | {"from": "0:01:10", "start_seconds": 70.0, "text": "scene 71"} == content["alerts"][0]
    with (tmp_path / "alerts.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["video"], row["from"], row["to"], row["highest"]) == ("loud", "0:01:10", "0:01:13", "0.9")
    assert (row["text"], row["threshold"]) == ("scene 71", "0.5")


def test_the_highest_is_first_and_the_text_falls_back_to_tags_and_summary(tmp_path: Path) -> None:
    low, high = scored([0.6, 0.6], [], "a"), scored([0.8, 0.8], [], "b")
    silent = scored([0.7, 0.7], [], "c")
    reports = [replace(low, tags="smoke"), replace(high, summary="A car burns."), silent]
    assert [(alert.video, alert.text) for alert in written(tmp_path, *reports)] == [
        ("b", "A car burns."),
        ("c", ""),
        ("a", "smoke"),
    ]


def test_texts_are_no_formulas_for_a_spreadsheet(tmp_path: Path) -> None:
    written(tmp_path, scored([0.9, 0.9], ["=cmd()", "=cmd()"]))
    with (tmp_path / "alerts.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["text"] == "'=cmd()"


def test_a_video_without_scores_has_no_alert(tmp_path: Path) -> None:
    assert written(tmp_path, replace(scored([0.9], ["x"]), track=None)) == []
    assert json.loads((tmp_path / "alerts.json").read_text())["alerts"] == []


def test_the_text_is_that_of_the_highest_segment_or_the_nearest_to_the_peak() -> None:
    segments = tuple(Segment(0, 150, (at,), at) for at in (0, 16, 32, 48))
    answers = (("w", 1.0, ""), ("x", 0.8, ""), ("y", 0.8, "two"), ("z", math.nan, ""))
    report = Report(Video("clip", Path("v.mp4"), 300, 10.0), segments, tuple(Response(*each) for each in answers))
    queries = [(0, 60, 40), (1, 60, 40), (1, 60, 17), (40, 60, 50), (200, 300, 250)]
    assert [text_in(report, *interval) for interval in queries] == ["w", "two", "x", "z", "w"]
    assert text_in(replace(report, responses=()), 0, 60, 40) == ""


def test_an_alert_names_the_definition_with_the_highest_score_in_it() -> None:
    report = scored([0.9, 0.9, 0.0, 0.0, 0.0, 0.8, 0.8], ["x"] * 7)
    assert report.track is not None
    tracks = {"fire": [0.9, 0.2, 0, 0, 0, 0.3, 0.3], "fall": [0.8, 0.8, 0, 0, 0, math.nan, 0.8]}
    named = tuple(
        DefinitionTrack(name, ScoreTrack(np.array(values), report.track.starts)) for name, values in tracks.items()
    )
    alerts = RULE.find_all(evaluation(replace(report, definition_tracks=named)))
    assert [(alert.start, alert.definition) for alert in alerts] == [(0, "fire"), (50, "fall")]
    assert [alert.definition for alert in RULE.find_all(evaluation(report))] == ["", ""]


def test_an_alert_on_labelled_videos_is_a_hit_or_false() -> None:
    report, normal = scored([0.9, 0.9, 0.0, 0.0, 0.0, 0.8, 0.8], ["x"] * 7, "a"), scored([0.7] * 3, ["x"] * 3, "b")
    truths = {"a": GroundTruth((Span(15, 61, "Fight"),), "Fight"), "b": GroundTruth((), "Normal")}
    alerts = RULE.find_all(evaluation(report, normal, scored([0.6] * 2, ["x"] * 2, "c"), truths=truths))
    assert [(alert.video, alert.start, alert.hit) for alert in alerts] == [
        *(("a", 0, True), ("a", 50, True), ("b", 0, False), ("c", 0, None)),
    ]
    assert by_video(alerts) == {"a": [(0, 20), (50, 70)], "b": [(0, 30)], "c": [(0, 20)]}


def test_alerts_of_the_models_own_scores() -> None:
    final = scored([0.1, 0.1, 0.1, 0.6, 0.6, 0.6], ["x"] * 6)
    raw = scored([0.9, 0.9, 0.9, 0.1, 0.1, math.nan], ["x"] * 6)
    history = {"clip": {"query": replace(raw, track=None), "score": raw, "smooth": final}}
    result = RunResult({"clip": final}, history)
    both = evaluate(result=result, dataset=Dataset("ours", (), {}, ()), protocol=PROTOCOL)
    assert [(a.start, a.stop) for a in alert_rule(scores="shown").find_all(both)] == [(30, 60)]
    assert [(a.start, a.stop) for a in alert_rule(scores="model").find_all(both)] == [(0, 30)]
    assert "model scores" in alert_rule(scores="model").description


def test_the_highest_alerts_have_a_still_and_a_clip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = odd_videos.plain(tmp_path / "a.mp4", "libx264").path
    there = scored([0.0, 0.9, 0.0, 0.8, 0.0], ["x"] * 5, "cam/1", every=8)
    there = replace(there, video=replace(there.video, path=path, fps=float(odd_videos.RATE)))
    gone = scored([0.7, 0.7], ["x"] * 2, "gone")
    rule = alert_rule(gap=0.1, shortest=0.1, clips=True, pre_roll=0.08, post_roll=0.04, max_media=3)
    alerts = rule.find_all(evaluation(there, gone, scored([0.6] * 2, ["x"] * 2, "low")))
    videos = {alert.video: gone.video for alert in alerts} | {"cam/1": there.video}
    with caplog.at_level(logging.INFO, "vaa"):
        written = rule.write_media(tmp_path, alerts, videos, "pyav")
    names = [f"alerts/cam%2F1_{k}" for k in (1, 2)]
    assert [(alert.still, alert.clip) for alert in written] == [
        *((f"{name}.jpg", f"{name}.mp4") for name in names),
        *((None, None), (None, None)),
    ]
    assert [record.getMessage().split(" alerts")[0] for record in caplog.records] == [
        *("1 of 3", "stills and clips of the 3 highest"),
    ]
    assert sorted(path.name for path in (tmp_path / "alerts").iterdir()) == sorted(
        f"{name.removeprefix('alerts/')}.{suffix}" for name in names for suffix in ("jpg", "mp4")
    )
    clip = Video("clip", tmp_path / f"{names[0]}.mp4", 11, 25.0)
    assert odd_videos.codes(sources.frames(clip, range(11), "pyav")) == list(range(6, 17))
    assert rule.write_media(tmp_path, alerts, videos, "pyav") == written
    assert replace(rule, stills=False, clips=False).write_media(tmp_path, alerts, videos, "pyav") == alerts


@pytest.mark.parametrize(
    "fields", [{"end": 0.6}, {"end": -0.1}, {"padding": -1.0}, {"threshold": 1.5}, {"threshold": 0.2, "end": 0.3}]
)
def test_a_rule_without_meaning_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        alert_rule(**fields)


@pytest.mark.parametrize("field", ["threshold", "gap", "shortest"])
def test_nan_in_a_field_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field}=nan"):
        replace(RULE, **{field: float("nan")})


def test_seconds_as_hours_minutes_seconds() -> None:
    assert [clock(seconds) for seconds in (0.99, 59.9, 61, 3725)] == ["0:00:00", "0:00:59", "0:01:01", "1:02:05"]
