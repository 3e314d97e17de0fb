from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaa.pipeline import Outcome, Step
from vaa.protocol import Protocol
from vaa.report.numbers import NotWholeError, check, numbers, seconds
from vaa.types import Catalogue, Failure, Report, ScoreTrack, Span, Truth, Video

LAVAD = Protocol(name="lavad", labels=None, end_inclusive=True, ap="pr_auc", precision="float64", pad=0.0)
COUNTS = {
    "videos": 2,
    "frames": 9,
    "failed": 1,
    "answers": 7,
    "unread": 2,
    "failed_share": 1 / 3,
    "unread_share": 2 / 7,
    "questions_asked": 5,
    "questions_remembered": 2,
    "embeddings_asked": 30,
    "embeddings_remembered": 4,
    "videos_asked/ask": 2,
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


def made() -> tuple[Outcome, Catalogue]:
    videos = (Video("a", Path("a.mp4"), 4, 30.0), Video("b", Path("b.mp4"), 5, 30.0))
    one = ScoreTrack(np.array([0.1, 0.9]), np.array([0, 2]))
    reports = {"a": Report(videos[0], track=one, answers=4, unread=2), "b": Report(videos[1], answers=3)}
    steps = [
        Step("window", 0.12345),
        Step("ask", 1.5, asked=5, remembered=2, videos=2),
        Step("clean", 2.0, asked=30, remembered=0, embedding=True),
        Step("refine", 2.0, asked=0, remembered=4, embedding=True),
    ]
    catalogue = Catalogue("set", videos, {"a": Truth((Span(2, 3, "Fire"),), "Fire"), "b": Truth((), "Normal")}, [])
    return Outcome(reports, {}, [Failure("c", "ask", "damaged")], steps), catalogue


def test_the_numbers_of_a_run() -> None:
    found = numbers(*made(), LAVAD, False)
    assert {name: found[name] for name in COUNTS} == COUNTS
    assert found.keys() == COUNTS.keys() | DETECTION | {"ap"}
    assert found["roc_auc"] == 1.0


def test_without_labels_only_the_counts_are_left() -> None:
    outcome, catalogue = made()
    assert numbers(outcome, Catalogue("folder", catalogue.videos, {}, []), LAVAD, False) == COUNTS


def test_seconds_a_stage() -> None:
    found = seconds(made()[0])
    assert found == {"seconds/window": 0.123, "seconds/ask": 1.5, "seconds/clean": 2.0, "seconds/refine": 2.0}


@pytest.mark.parametrize(
    ("unread", "answers", "failed", "max_unread", "max_failed", "status"),
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
    unread: int, answers: int, failed: int, max_unread: float, max_failed: float, status: int | None
) -> None:
    metrics = {"unread": unread, "answers": answers, "failed": failed, "videos": 10 - failed}
    if status is None:
        check(metrics, max_unread, max_failed)
        return
    with pytest.raises(NotWholeError) as error:
        check(metrics, max_unread, max_failed)
    assert error.value.status == status
    assert {4: f"{unread} of {answers} answers", 3: f"{failed} of 10 videos failed"}[status] in str(error.value)
