from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vaa.evaluation.evaluation import Evaluation, evaluate, peak_frame, segment_at, text_at
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.types import Dataset, GroundTruth, Report, Response, ScoreTrack, Segment, Span, Video

PROTOCOL = Protocol(
    name="p", labels=None, end_inclusive=False, precision="float64", pad=0.0, smooth=0.0, transform="none", metrics={}
)


def evaluation(scores: dict[str, list[float] | None], spans: dict[str, tuple[int, int] | None]) -> Evaluation:
    """Videos of four frames; a span of None is a normal video, a missing one a video without labels."""
    reports = {}
    for name, values in scores.items():
        track = None if values is None else ScoreTrack(np.array(values), np.arange(len(values)))
        reports[name] = Report(Video(name, Path("v.mp4"), 4, 10.0), track=track)
    truths = {name: GroundTruth((Span(*span, "x"),) if span else (), "x") for name, span in spans.items()}
    dataset = Dataset("ours", tuple(report.video for report in reports.values()), truths, ())
    return evaluate(result=RunResult(reports), dataset=dataset, protocol=PROTOCOL)


@pytest.mark.parametrize(("span", "expected"), [(None, 0.9), ((0, 4), 0.1), ((2, 4), 0.75), ((1, 2), 0.0)], ids=str)
def test_the_error_of_a_video(span: tuple[int, int] | None, expected: float) -> None:
    assert evaluation({"v": [0.2, 0.9, 0.1, 0.6]}, {"v": span}).error("v") == pytest.approx(expected)


def test_without_scores_or_labels_there_is_no_error() -> None:
    result = evaluation({"a": [0.1, 0.2, 0.3, 0.4], "b": None}, {"b": None})
    assert math.isnan(result.error("a"))
    assert math.isnan(result.error("b"))
    assert (list(result.scores), result.labelled, result.metrics, result.curves, result.classes) == (
        ["a"],
        [],
        {},
        None,
        (),
    )


def test_videos_are_ranked_by_the_highest_scores_and_the_largest_errors_in_turn() -> None:
    scores = {"low": [0.0] * 4, "none": None, "high": [0.9] * 4, "missed": [0.5, 0.4, 0.0, 0.0]}
    result = evaluation(scores, {"low": None, "high": (0, 4), "missed": (2, 4)})
    assert result.ranked == ["high", "missed", "low", "none"]


def test_values_are_computed_once() -> None:
    result = evaluation({"a": [0.1, 0.2, 0.3, 0.4]}, {"a": (2, 4)})
    assert result.video_scores("a") is result.video_scores("a") is result.scores["a"]
    assert result.curves is result.curves
    assert (result.label("a"), result.label("b")) == ("x", None)


def test_the_peak_is_in_the_middle_of_the_first_highest_stretch() -> None:
    assert peak_frame(np.array([0.1, 0.9, 0.9, 0.9, 0.0, 0.9])) == 2
    assert peak_frame(np.array([0.5])) == 0


def test_the_segment_and_its_text_at_a_frame() -> None:
    segments = tuple(Segment(at, at + 10, (at,), at) for at in (5, 15, 25))
    responses = (Response("answer", math.nan, ""), Response("answer", 1.0, "a fight"), Response("", math.nan, ""))
    report = Report(Video("v", Path("v.mp4"), 40, 10.0), segments, responses)
    assert [segment_at(report, frame) for frame in (0, 5, 14, 15, 39)] == [0, 0, 0, 1, 2]
    assert [text_at(report, frame) for frame in (5, 15, 25)] == ["answer", "a fight", None]
    assert segment_at(Report(report.video), 5) is None
    assert text_at(Report(report.video, segments), 5) is None
