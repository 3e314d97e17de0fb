from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vaa.evaluation.roc import curves, group_frames, roc_auc, thin_curve

LABELS = {"n": np.zeros(4, bool), "a": np.array([0, 0, 1, 1], bool), "b": np.array([0, 1, 0, 0], bool)}
SCORES = {
    "n": np.array([0.1, 0.2, 0.3, 0.4]),
    "a": np.array([0.0, 0.1, 0.8, 0.9]),
    "b": np.array([0.5, 0.35, 0.0, 0.0]),
}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 5)), min_size=2, max_size=60),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_ranking_equals_sklearns_for_any_ties_and_runs(
    runs: list[tuple[bool, int, int]], precision: type[np.floating]
) -> None:
    y = np.repeat([kind for kind, _, _ in runs], [n for _, _, n in runs])
    s = (np.repeat([score for _, score, _ in runs], [n for _, _, n in runs]) / 7).astype(precision)
    ranking = group_frames([y], [s]).ranking()
    if y.all() or not y.any():
        assert ranking is None
        assert math.isnan(roc_auc(y, s))
        return
    assert ranking is not None
    fpr, tpr, thresholds = metrics.roc_curve(y, s, drop_intermediate=False)
    np.testing.assert_array_equal(ranking.thresholds, thresholds[1:])
    np.testing.assert_allclose(ranking.fpr, fpr[1:], atol=1e-15)
    np.testing.assert_allclose(ranking.tpr, tpr[1:], atol=1e-15)
    curve, recall, _ = metrics.precision_recall_curve(y, s)
    np.testing.assert_allclose(ranking.precision, curve[-2::-1], atol=1e-15)
    assert ranking.roc_auc() == roc_auc(y, s) == pytest.approx(metrics.roc_auc_score(y, s), abs=1e-12)
    assert ranking.pr_auc() == pytest.approx(metrics.auc(recall, curve), abs=1e-12)
    assert ranking.average_precision() == pytest.approx(metrics.average_precision_score(y, s), abs=1e-12)


def test_counts_of_many_frames_are_exact() -> None:
    y = np.zeros(4_000_000, dtype=bool)
    y[1_000_000:3_000_000] = True
    s = np.where(y, 0.5, 0.25)
    assert roc_auc(y, s) == 1.0
    assert roc_auc(y, np.zeros(len(y))) == 0.5


def test_curves_are_over_the_frames_of_all_videos() -> None:
    points = curves(list(LABELS.values()), list(SCORES.values()))
    assert points is not None
    assert (points.fpr[0], points.tpr[0], points.fpr[-1], points.tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(points.tpr, points.fpr) == pytest.approx((9 + 9 + 7) / 27)
    assert (points.recall[0], points.precision[0], points.recall[-1]) == (0, 1, 1)


def test_without_both_classes_there_is_no_curve() -> None:
    assert curves([], []) is None
    assert curves([LABELS["n"]], [SCORES["n"]]) is None


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    x = np.sort(np.random.default_rng(0).random(5000))
    few_x, few_y = thin_curve(x, np.sqrt(x), 200)
    assert len(few_x) <= 200
    assert (few_x[0], few_x[-1]) == (x[0], x[-1])
    assert np.trapezoid(few_y, few_x) == pytest.approx(np.trapezoid(np.sqrt(x), x), abs=1e-3)
    assert thin_curve(x, x, 5000)[0] is x
