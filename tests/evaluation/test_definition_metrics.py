from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vaa.evaluation.definitions import definition_metrics
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.types import Dataset, DefinitionTrack, GroundTruth, Report, ScoreTrack, Span, Video

LAVAD = Protocol(
    name="lavad",
    labels=None,
    end_inclusive=True,
    precision="float64",
    pad=0.0,
    smooth=0.0,
    transform="none",
    metrics={},
)
N = 40
SPANS = {"a": (Span(3, 10, "Fire"), Span(20, 30, "Fall")), "b": (Span(5, 9, "Fall"),), "c": ()}


def test_a_definition_is_positive_in_the_frames_of_its_class_and_negative_everywhere_else() -> None:
    rng = np.random.default_rng(4)
    scores = {(video, name): rng.random(N) for video in SPANS for name in ("fire", "fall", "a bicycle")}
    videos = tuple(Video(name, Path(name), N, 10.0) for name in SPANS)
    reports = {}
    for video in videos:
        tracks = tuple(
            DefinitionTrack(name, ScoreTrack(scores[video.id, name], np.arange(N)))
            for name in ("fire", "fall", "a bicycle")
        )
        values = np.max([each.track.values for each in tracks], axis=0)
        reports[video.id] = Report(video, track=ScoreTrack(values, np.arange(N)), definition_tracks=tracks)
    truths = {video: GroundTruth(spans, "") for video, spans in SPANS.items()}
    evaluation = evaluate(result=RunResult(reports), dataset=Dataset("set", videos, truths, ()), protocol=LAVAD)
    metrics = definition_metrics(evaluation)
    expected = {}
    for name, label in (("fire", "Fire"), ("fall", "Fall")):
        truth = [any(s.label == label and s.start <= k < s.stop for s in SPANS[v]) for v in SPANS for k in range(N)]
        expected[name] = roc_auc_score(truth, np.concatenate([scores[v, name] for v in SPANS]))
    assert metrics == pytest.approx(
        {
            "definition_roc_auc/fire": expected["fire"],
            "definition_roc_auc/fall": expected["fall"],
            "definition_roc_auc_mean": np.mean(list(expected.values())),
        }
    )


def test_without_definitions_there_are_no_such_metrics() -> None:
    video = Video("a", Path("a"), N, 10.0)
    report = Report(video, track=ScoreTrack(np.zeros(N), np.arange(N)))
    dataset = Dataset("set", (video,), {"a": GroundTruth(SPANS["a"], "")}, ())
    assert definition_metrics(evaluate(result=RunResult({"a": report}), dataset=dataset, protocol=LAVAD)) == {}
