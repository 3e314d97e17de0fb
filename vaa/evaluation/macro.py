"""Macro AUC: the mean over the videos of the ROC AUC within each, with and without padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.metric_set import EvaluatedVideo, ratio
from vaa.evaluation.roc import Labels, roc_auc
from vaa.types import Floats

_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, kw_only=True)
class MacroAuc:
    """`macro_auc`: the mean over the videos that have frames of both classes.

    `macro_auc_padded_one`: each video gets a normal frame of score 0 in front and an anomalous one of score 1 behind,
    so that videos of one class count (UBnormal, AED); `macro_auc_padded_max`: the last score is the largest number
    (AI-VAD). Both give a video of one class 1.0 where its scores lie between: they flatter normal videos.
    """

    def measure(self, video: EvaluatedVideo) -> tuple[float, float, float]:
        """The three AUCs within a video; NaN where the first is not defined."""
        y, s = video.labels, video.scores.astype(np.float64)
        own = roc_auc(y, s) if y.any() and not y.all() else math.nan
        return own, _padded(y, s, 1.0), _padded(y, s, _LARGEST)

    def combine(self, measured: Sequence[tuple[float, float, float]], weights: Numbers) -> dict[str, Numbers]:
        """The means over the videos."""
        values = np.array(measured)
        defined = np.isfinite(values)
        names = ("macro_auc", "macro_auc_padded_one", "macro_auc_padded_max")
        sums = np.where(defined, values, 0.0)
        return {name: ratio(sums[:, k], defined[:, k], weights) for k, name in enumerate(names)}


def _padded(labels: Labels, scores: Floats, last: float) -> float:
    return roc_auc(np.concatenate([[False], labels, [True]]), np.concatenate([[0.0], scores, [last]]))
