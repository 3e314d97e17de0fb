from __future__ import annotations

import numpy as np
import pytest

from vaa.report.curves import class_auc, curves

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
    assert (found.recall[-1], found.precision[-1], found.recall[0]) == (0, 1, 1)


def test_without_both_classes_there_is_no_curve() -> None:
    assert curves([], []) is None
    assert curves([LABELS["n"]], [SCORES["n"]]) is None


def test_a_class_is_its_own_videos_and_all_normal_ones() -> None:
    found = class_auc(LABELS, SCORES, {"n": "Normal", "a": "Fight", "b": "Fall"})
    assert found == {"Fall": (pytest.approx(5 / 7), 1), "Fight": (1.0, 1)}
