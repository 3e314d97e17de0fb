from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaa.errors import VaaError
from vaa.evaluation.metrics import check, numbers, seconds
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult, StageStats
from vaa.types import Dataset, Failure, GroundTruth, Report, ScoreTrack, Span, Video

LAVAD = Protocol(name="lavad", labels=None, end_inclusive=True, ap="pr_auc", precision="float64", pad=0.0)
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


def made() -> tuple[RunResult, Dataset]:
    videos = (Video("a", Path("a.mp4"), 4, 30.0), Video("b", Path("b.mp4"), 5, 30.0))
    one = ScoreTrack(np.array([0.1, 0.9]), np.array([0, 2]))
    reports = {"a": Report(videos[0], track=one, n_answers=4, n_unparsed=2), "b": Report(videos[1], n_answers=3)}
    steps = [
        StageStats(stage="window", seconds=0.12345),
        StageStats(stage="query", seconds=1.5, n_queries=5, n_cached=2, n_videos=2),
        StageStats(stage="clean", seconds=2.0, n_queries=30, n_cached=0, embedding=True),
        StageStats(stage="refine", seconds=2.0, n_queries=0, n_cached=4, embedding=True),
    ]
    dataset = Dataset(
        "set", videos, {"a": GroundTruth((Span(2, 3, "Fire"),), "Fire"), "b": GroundTruth((), "Normal")}, []
    )
    return RunResult(reports, {}, [Failure("c", "query", "damaged")], steps), dataset


def test_the_numbers_of_a_run() -> None:
    found = numbers(*made(), LAVAD, False)
    assert {name: found[name] for name in COUNTS} == COUNTS
    assert found.keys() == COUNTS.keys() | DETECTION | {"ap"}
    assert found["roc_auc"] == 1.0


def test_without_labels_only_the_counts_are_left() -> None:
    result, dataset = made()
    assert numbers(result, Dataset("folder", dataset.videos, {}, []), LAVAD, False) == COUNTS


def test_seconds_a_stage() -> None:
    found = seconds(made()[0])
    assert found == {"seconds/window": 0.123, "seconds/query": 1.5, "seconds/clean": 2.0, "seconds/refine": 2.0}


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
def test_a_run_that_is_not_whole_says_so_by_its_status(
    unparsed: int, answers: int, failed: int, max_unparsed: float, max_failed: float, status: int | None
) -> None:
    metrics = {"unparsed": unparsed, "answers": answers, "failed": failed, "videos": 10 - failed}
    if status is None:
        check(metrics, max_unparsed, max_failed)
        return
    with pytest.raises(VaaError) as error:
        check(metrics, max_unparsed, max_failed)
    assert error.value.exit_status == status
    assert {4: f"{unparsed} of {answers} answers", 3: f"{failed} of 10 videos failed"}[status] in str(error.value)
