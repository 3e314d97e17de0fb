from __future__ import annotations

import numpy as np
import pytest

from vaa.evaluation.curves import curves, thin

LABELS = {"n": np.zeros(4, bool), "a": np.array([0, 0, 1, 1], bool), "b": np.array([0, 1, 0, 0], bool)}
SCORES = {
    "n": np.array([0.1, 0.2, 0.3, 0.4]),
    "a": np.array([0.0, 0.1, 0.8, 0.9]),
    "b": np.array([0.5, 0.35, 0.0, 0.0]),
}


def test_curves_run_over_the_frames_of_all_videos() -> None:
    found = curves(list(LABELS.values()), list(SCORES.values()))
    assert found is not None
    assert (found.false_alarms[0], found.hits[0], found.false_alarms[-1], found.hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(found.hits, found.false_alarms) == pytest.approx((9 + 9 + 7) / 27)
    assert (found.recall[0], found.precision[0], found.recall[-1]) == (0, 1, 1)


def test_without_both_classes_there_is_no_curve() -> None:
    assert curves([], []) is None
    assert curves([LABELS["n"]], [SCORES["n"]]) is None


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    x = np.sort(np.random.default_rng(0).random(5000))
    few_x, few_y = thin(x, np.sqrt(x), 200)
    assert len(few_x) <= 200
    assert (few_x[0], few_x[-1]) == (x[0], x[-1])
    assert np.trapezoid(few_y, few_x) == pytest.approx(np.trapezoid(np.sqrt(x), x), abs=1e-3)
    assert thin(x, x, 5000)[0] is x
