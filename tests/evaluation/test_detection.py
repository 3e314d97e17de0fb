from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from vaa.evaluation.detection import class_auc, detection, within_video_auc

NAMES = {"roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best", "threshold_youden", "threshold_f1"}


def labels(*text: str) -> list[np.ndarray]:
    return [np.array([letter == "1" for letter in video]) for video in text]


@pytest.mark.parametrize("levels", [2, 11, 100000])
def test_agrees_with_sklearn_on_all_frames(levels: int) -> None:
    rng = np.random.default_rng(levels)
    truth = [rng.random(n) < 0.2 for n in (40, 1, 300)]
    scores = [np.round(0.3 * y + rng.random(len(y)), 9) * levels // 1 / levels for y in truth]
    y, s = np.concatenate(truth), np.concatenate(scores)
    found = detection(truth, scores)
    precision, recall, thresholds = metrics.precision_recall_curve(y, s)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, s), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(metrics.auc(recall, precision), abs=1e-12)
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(y, s), abs=1e-12)
    assert found["anomalous_share"] == y.mean()
    f1 = [metrics.f1_score(y, s >= threshold) for threshold in thresholds]
    assert found["f1_best"] == pytest.approx(max(f1), abs=1e-12)
    assert metrics.f1_score(y, s >= found["threshold_f1"]) == pytest.approx(max(f1), abs=1e-12)
    youden = [np.mean(s[y] >= threshold) - np.mean(s[~y] >= threshold) for threshold in thresholds]
    at_best = np.mean(s[y] >= found["threshold_youden"]) - np.mean(s[~y] >= found["threshold_youden"])
    assert at_best == pytest.approx(max(youden), abs=1e-12)


def test_by_hand() -> None:
    found = detection(labels("0011", "01"), [np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.2, 0.9])])
    # Anomalous: .35 .8 .9, others: .1 .4 .2. Of 9 pairs 8 are in order.
    assert found["roc_auc"] == pytest.approx(8 / 9)
    assert found["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    # The curve (recall, precision) runs (1/3, 1) (2/3, 1) (2/3, 2/3) (1, 3/4) from (0, 1).
    assert found["pr_auc"] == pytest.approx(2 / 3 + (2 / 3 + 3 / 4) / 2 / 3)
    assert found["within_video_auc"] == pytest.approx((3 / 4 + 1) / 2)
    assert (found["f1_best"], found["threshold_f1"]) == (pytest.approx(6 / 7), 0.35)
    assert found["anomalous_share"] == 0.5


def test_constant_scores_are_chance() -> None:
    found = detection(labels("0101"), [np.full(4, 0.5)])
    assert found["roc_auc"] == found["within_video_auc"] == 0.5
    assert found["average_precision"] == 0.5


@pytest.mark.parametrize("only", ["0", "1"])
def test_a_single_class_is_nan_and_never_a_number(only: str) -> None:
    found = detection(labels(only * 3, only), [np.array([0.1, 0.5, 0.2]), np.array([0.3])])
    assert set(found) == NAMES | {"anomalous_share"}
    assert all(math.isnan(found[name]) for name in NAMES)
    assert found["anomalous_share"] == float(only)


def test_within_video_auc_is_over_videos_with_both_classes() -> None:
    scores = [np.array([0.1, 0.9]), np.array([0.9, 0.1]), np.array([0.5, 0.5])]
    assert within_video_auc(labels("01", "01", "00"), scores) == 0.5
    assert math.isnan(within_video_auc(labels("00", "11"), scores[:2]))


def test_within_video_auc_agrees_with_sklearn_video_by_video() -> None:
    rng = np.random.default_rng(0)
    truth = [
        rng.random(n) < share for n, share in [(40, 0.5), (0, 0.5), (9, 0.0), (300, 0.1), (5, 1.0), (70, 0.7)] * 60
    ]
    scores = [np.repeat(rng.integers(0, 5, len(y)), 3)[: len(y)] / 7 for y in truth]
    aucs = [metrics.roc_auc_score(y, s) for y, s in zip(truth, scores, strict=True) if y.any() and not y.all()]
    assert within_video_auc(truth, scores) == pytest.approx(np.mean(aucs), abs=1e-14)


def test_half_precision_makes_ties() -> None:
    scores = np.array([0.50001, 0.5])
    assert detection(labels("01"), [scores])["roc_auc"] == 0.0
    assert detection(labels("01"), [scores.astype(np.float16)])["roc_auc"] == 0.5


def test_a_class_is_told_from_all_normal_videos_by_hand() -> None:
    truth = labels("01", "011", "000", "00", "01")
    scores = [np.array(s) for s in ([0.1, 0.6], [0.2, 0.3, 0.9], [0.0, 0.5, 0.4], [0.7, 0.1], [0.8, 0.2])]
    found = class_auc(truth, scores, ["Fire", "Fire,Riot", "Normal", "Fire", "Fight"])
    # The fourth has no anomalous frame, so it is normal whatever it is called: 0, .5, .4, .7, .1 are normal frames.
    assert list(found) == ["Fight", "Fire", "Riot"]
    assert found["Fire"] == pytest.approx((6 + 4 + 7) / (3 * 7))  # .6, .3, .9 against those five and .1, .2
    assert found["Riot"] == pytest.approx((3 + 6) / (2 * 6))  # .3, .9 against those five and .2
    assert found["Fight"] == pytest.approx(2 / 6)  # .2 is above 0 and .1, not above the video's own .8


def test_a_class_without_any_normal_frame_has_no_auc() -> None:
    assert math.isnan(class_auc(labels("11"), [np.array([0.1, 0.2])], ["Fire"])["Fire"])
    assert class_auc(labels("00"), [np.array([0.1, 0.2])], ["Normal"]) == {}
