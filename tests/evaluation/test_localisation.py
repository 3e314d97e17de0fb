from __future__ import annotations

import math

import pytest

from vaa.evaluation.localisation import iou, localisation
from vaa.types import Box


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),
    ],
)
def test_iou(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected, abs=1e-6)
    assert iou(b, a) == iou(a, b)


def test_frames_count_by_their_most_confident_box_and_videos_by_their_mean() -> None:
    square = (0.0, 0.0, 10.0, 10.0)
    truths = {
        "a": (Box(1, square, 1.0), Box(2, square, 1.0), Box(3, square, 1.0)),
        "b": (Box(5, square, 1.0),),
        "c": (),
    }
    predicted = {
        "a": (
            Box(1, (90.0, 90.0, 99.0, 99.0), 0.6),
            Box(1, square, 0.7),  # more confident than the wrong one
            Box(2, square, 0.49),  # not confident enough
            Box(9, square, 0.9),  # not an annotated frame
        ),
        "b": (Box(5, (0.0, 0.0, 5.0, 10.0), 0.5),),
    }
    metrics = localisation(truths, predicted)
    assert metrics["tiou"] == pytest.approx((1 + 0 + 0 + 0.5) / 4, abs=1e-6)
    assert metrics["tiou_per_video"] == pytest.approx((1 / 3 + 0.5) / 2, abs=1e-6)
    assert metrics["annotated_frames"] == 4


def test_without_annotated_frames_the_metrics_are_nan() -> None:
    assert math.isnan(localisation({"a": ()}, {"a": ()})["tiou"])
