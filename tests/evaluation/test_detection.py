from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from vaa.evaluation.detection import class_results, detection, within_video_auc

NAMES = {"roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best", "threshold_youden", "threshold_f1"}


def labels(*text: str) -> list[np.ndarray]:
    return [np.array([letter == "1" for letter in video]) for video in text]


@pytest.mark.parametrize("levels", [2, 11, 100000])
def test_metrics_equal_sklearns_on_all_frames(levels: int) -> None:
    rng = np.random.default_rng(levels)
    truth = [rng.random(n) < 0.2 for n in (40, 1, 300)]
    scores = [np.round(0.3 * y + rng.random(len(y)), 9) * levels // 1 / levels for y in truth]
    y, s = np.concatenate(truth), np.concatenate(scores)
    metrics = detection(truth, scores)
    precision, recall, thresholds = sklearn_metrics.precision_recall_curve(y, s)
    assert metrics["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y, s), abs=1e-12)
    assert metrics["pr_auc"] == pytest.approx(sklearn_metrics.auc(recall, precision), abs=1e-12)
    assert metrics["average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(y, s), abs=1e-12)
    assert metrics["anomalous_share"] == y.mean()
    f1 = [sklearn_metrics.f1_score(y, s >= threshold) for threshold in thresholds]
    assert metrics["f1_best"] == pytest.approx(max(f1), abs=1e-12)
    assert sklearn_metrics.f1_score(y, s >= metrics["threshold_f1"]) == pytest.approx(max(f1), abs=1e-12)
    youden = [np.mean(s[y] >= threshold) - np.mean(s[~y] >= threshold) for threshold in thresholds]
    at_best = np.mean(s[y] >= metrics["threshold_youden"]) - np.mean(s[~y] >= metrics["threshold_youden"])
    assert at_best == pytest.approx(max(youden), abs=1e-12)


def test_by_hand() -> None:
    metrics = detection(labels("0011", "01"), [np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.2, 0.9])])
    # Anomalous: .35 .8 .9, others: .1 .4 .2. Of 9 pairs 8 are in order.
    assert metrics["roc_auc"] == pytest.approx(8 / 9)
    assert metrics["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    # The curve (recall, precision) runs (1/3, 1) (2/3, 1) (2/3, 2/3) (1, 3/4) from (0, 1).
    assert metrics["pr_auc"] == pytest.approx(2 / 3 + (2 / 3 + 3 / 4) / 2 / 3)
    assert metrics["within_video_auc"] == pytest.approx((3 / 4 + 1) / 2)
    assert (metrics["f1_best"], metrics["threshold_f1"]) == (pytest.approx(6 / 7), 0.35)
    assert metrics["anomalous_share"] == 0.5


def test_constant_scores_are_at_chance_level() -> None:
    metrics = detection(labels("0101"), [np.full(4, 0.5)])
    assert metrics["roc_auc"] == metrics["within_video_auc"] == 0.5
    assert metrics["average_precision"] == 0.5


@pytest.mark.parametrize("only", ["0", "1"])
def test_frames_of_a_single_class_give_nan(only: str) -> None:
    metrics = detection(labels(only * 3, only), [np.array([0.1, 0.5, 0.2]), np.array([0.3])])
    assert set(metrics) == NAMES | {"anomalous_share"}
    assert all(math.isnan(metrics[name]) for name in NAMES)
    assert metrics["anomalous_share"] == float(only)


def test_within_video_auc_is_over_videos_with_both_classes() -> None:
    scores = [np.array([0.1, 0.9]), np.array([0.9, 0.1]), np.array([0.5, 0.5])]
    assert within_video_auc(labels("01", "01", "00"), scores) == 0.5
    assert math.isnan(within_video_auc(labels("00", "11"), scores[:2]))


def test_within_video_auc_equals_sklearns_video_by_video() -> None:
    rng = np.random.default_rng(0)
    truth = [
        rng.random(n) < share for n, share in [(40, 0.5), (0, 0.5), (9, 0.0), (300, 0.1), (5, 1.0), (70, 0.7)] * 60
    ]
    scores = [np.repeat(rng.integers(0, 5, len(y)), 3)[: len(y)] / 7 for y in truth]
    aucs = [sklearn_metrics.roc_auc_score(y, s) for y, s in zip(truth, scores, strict=True) if y.any() and not y.all()]
    assert within_video_auc(truth, scores) == pytest.approx(np.mean(aucs), abs=1e-14)


def test_half_precision_makes_ties() -> None:
    scores = np.array([0.50001, 0.5])
    assert detection(labels("01"), [scores])["roc_auc"] == 0.0
    assert detection(labels("01"), [scores.astype(np.float16)])["roc_auc"] == 0.5


def test_a_class_is_compared_with_all_normal_videos_by_hand() -> None:
    truth = labels("01", "011", "000", "00", "01")
    scores = [np.array(s) for s in ([0.1, 0.6], [0.2, 0.3, 0.9], [0.0, 0.5, 0.4], [0.7, 0.1], [0.8, 0.2])]
    results = class_results(truth, scores, ["Fire", "Fire,Riot", "Normal", "Fire", "Fight"])
    aucs = {result.name: result.roc_auc for result in results}
    # The fourth has no anomalous frame, so it is normal whatever its class is: 0, .5, .4, .7, .1 are normal frames.
    assert list(aucs) == ["Fight", "Fire", "Riot"]
    assert [(r.videos, r.frames, r.anomalous_share) for r in results] == [
        (1, 2, 0.5),
        (2, 5, 0.6),
        (1, 3, pytest.approx(2 / 3)),
    ]
    assert [result.within_video_auc for result in results] == [0.0, 1.0, 1.0]
    assert aucs["Fire"] == pytest.approx((6 + 4 + 7) / (3 * 7))  # .6, .3, .9 against those five and .1, .2
    assert aucs["Riot"] == pytest.approx((3 + 6) / (2 * 6))  # .3, .9 against those five and .2
    assert aucs["Fight"] == pytest.approx(2 / 6)  # .2 is above 0 and .1, not above the video's own .8


def test_a_class_without_any_normal_frame_has_no_auc() -> None:
    (result,) = class_results(labels("11"), [np.array([0.1, 0.2])], ["Fire"])
    assert math.isnan(result.roc_auc)
    assert class_results(labels("00"), [np.array([0.1, 0.2])], ["Normal"]) == ()
