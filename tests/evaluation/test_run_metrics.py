from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaa.errors import TooManyFailedError, TooManyUnparsedError
from vaa.evaluation.evaluation import Evaluation, evaluate
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.run_metrics import check_complete, run_metrics, stage_seconds
from vaa.pipeline import RunResult, StageStats
from vaa.types import Dataset, Failure, GroundTruth, Report, ScoreTrack, Span, Video

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
COUNTS = {
    "videos": 2,
    "frames": 9,
    "failed": 1,
    "answers": 7,
    "unparsed": 2,
    "failed_share": 1 / 3,
    "unparsed_share": 2 / 7,
    "model_queries": 5,
    "cache_hits": 2,
    "embedding_queries": 30,
    "embedding_cache_hits": 4,
    "videos_queried/query": 2,
}
DETECTION = {
    "roc_auc",
    "pr_auc",
    "average_precision",
    "within_video_auc",
    "f1_best",
    "threshold_youden",
    "threshold_f1",
    "anomalous_share",
}


def evaluation(*, labelled: bool = True) -> Evaluation:
    videos = (Video("a", Path("a.mp4"), 4, 30.0), Video("b", Path("b.mp4"), 5, 30.0))
    one = ScoreTrack(np.array([0.1, 0.9]), np.array([0, 2]))
    reports = {"a": Report(videos[0], track=one, n_answers=4, n_unparsed=2), "b": Report(videos[1], n_answers=3)}
    steps = [
        StageStats(stage="window", seconds=0.12345),
        StageStats(stage="query", seconds=1.5, n_queries=5, n_cached=2, n_videos=2),
        StageStats(stage="clean", seconds=2.0, n_queries=30, n_cached=0, embedding=True),
        StageStats(stage="refine", seconds=2.0, n_queries=0, n_cached=4, embedding=True),
    ]
    truths = {"a": GroundTruth((Span(2, 4, "Fire"),), "Fire"), "b": GroundTruth((), "Normal")} if labelled else {}
    result = RunResult(reports, {}, [Failure("c", "query", "damaged")], steps)
    return evaluate(result=result, dataset=Dataset("set", videos, truths, []), protocol=LAVAD)


def test_the_numbers_of_a_run() -> None:
    metrics = run_metrics(evaluation(), meteor_jar=False)
    assert {name: metrics[name] for name in COUNTS} == COUNTS
    assert metrics.keys() == COUNTS.keys() | DETECTION
    with_alerts = run_metrics(evaluation(), meteor_jar=False, alerts={"a": [(2, 4)]})
    assert with_alerts | metrics | {"events": 1, "events_hit": 1, "false_alerts": 0} == with_alerts
    assert run_metrics(evaluation(labelled=False), meteor_jar=False, alerts={"a": [(2, 4)]}).keys() == COUNTS.keys()
    assert metrics["roc_auc"] == 1.0


def test_without_labels_there_are_only_counts() -> None:
    assert run_metrics(evaluation(labelled=False), meteor_jar=False) == COUNTS


def test_the_seconds_of_each_stage() -> None:
    seconds = stage_seconds(evaluation().stats)
    assert seconds == {"seconds/window": 0.123, "seconds/query": 1.5, "seconds/clean": 2.0, "seconds/refine": 2.0}


@pytest.mark.parametrize(
    ("unparsed", "answers", "failed", "max_unparsed", "max_failed", "status"),
    [
        (0, 100, 0, 0.1, 0.0, None),
        (10, 100, 0, 0.1, 0.0, None),
        (11, 100, 0, 0.1, 0.0, 4),
        (1, 100, 0, 0.0, 0.0, 4),
        (0, 0, 0, 0.0, 0.0, None),
        (0, 100, 2, 0.1, 0.0, 3),
        (0, 100, 2, 0.1, 0.1, 3),
        (0, 100, 2, 0.1, 0.2, None),
        (11, 100, 2, 0.1, 0.2, 4),
    ],
)
def test_an_incomplete_run_raises_an_error_with_its_exit_status(
    unparsed: int, answers: int, failed: int, max_unparsed: float, max_failed: float, status: int | None
) -> None:
    metrics = {"unparsed": unparsed, "answers": answers, "failed": failed, "videos": 10 - failed}
    if status is None:
        check_complete(metrics, max_unparsed=max_unparsed, max_failed=max_failed)
        return
    kind, share = {
        3: (TooManyFailedError, f"{failed} of 10 videos"),
        4: (TooManyUnparsedError, f"{unparsed} of {answers} answers"),
    }[status]
    with pytest.raises(kind, match=share) as error:
        check_complete(metrics, max_unparsed=max_unparsed, max_failed=max_failed, first_unparsed="clip: 'maybe'")
    assert error.value.exit_status == status
    assert ("clip: 'maybe'" in str(error.value)) == (status == 4)
