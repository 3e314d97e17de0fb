from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vaa.evaluation.ranking import ranking, roc_auc


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 5)), min_size=2, max_size=60),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_agrees_with_sklearn_whatever_the_ties_and_runs(
    runs: list[tuple[bool, int, int]], precision: type[np.floating]
) -> None:
    y = np.repeat([kind for kind, _, _ in runs], [n for _, _, n in runs])
    s = (np.repeat([score for _, score, _ in runs], [n for _, _, n in runs]) / 7).astype(precision)
    found = ranking(y, s)
    if y.all() or not y.any():
        assert found is None
        assert math.isnan(roc_auc(y, s))
        return
    assert found is not None
    false_alarms, hits, thresholds = metrics.roc_curve(y, s, drop_intermediate=False)
    np.testing.assert_array_equal(found.thresholds, thresholds[1:])
    np.testing.assert_allclose(found.false_alarms, false_alarms[1:], atol=1e-15)
    np.testing.assert_allclose(found.hits, hits[1:], atol=1e-15)
    curve, recall, _ = metrics.precision_recall_curve(y, s)
    np.testing.assert_allclose(found.precision, curve[-2::-1], atol=1e-15)
    assert found.roc_auc() == roc_auc(y, s) == pytest.approx(metrics.roc_auc_score(y, s), abs=1e-12)
    assert found.pr_auc() == pytest.approx(metrics.auc(recall, curve), abs=1e-12)
    assert found.average_precision() == pytest.approx(metrics.average_precision_score(y, s), abs=1e-12)


def test_counts_are_exact_where_there_are_many_frames() -> None:
    y = np.zeros(4_000_000, dtype=bool)
    y[1_000_000:3_000_000] = True
    s = np.where(y, 0.5, 0.25)
    assert roc_auc(y, s) == 1.0
    assert roc_auc(y, np.zeros(len(y))) == 0.5
