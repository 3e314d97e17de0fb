"""The curves of a run: ROC and precision-recall over the frames of all videos, and the ROC AUC of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from vaa.metrics.detection import Labels
from vaa.types import Floats


@dataclass(frozen=True, eq=False)
class Curves:
    """Points of both curves; `false_alarms` with `hits`, `recall` with `precision`, each pair of one shape (n,)."""

    false_alarms: Floats
    hits: Floats
    recall: Floats
    precision: Floats


def curves(labels: Sequence[Labels], scores: Sequence[Floats]) -> Curves | None:
    """Over the frames of all videos, one array of shape (frames,) each; None where they are of one class only."""
    if not labels or len(np.unique(np.concatenate(labels))) < 2:
        return None
    y, s = np.concatenate(labels), np.concatenate(scores)
    false_alarms, hits, _ = roc_curve(y, s)
    precision, recall, _ = precision_recall_curve(y, s)
    return Curves(false_alarms, hits, recall, precision)


def class_auc(
    labels: Mapping[str, Labels], scores: Mapping[str, Floats], classes: Mapping[str, str]
) -> dict[str, tuple[float, int]]:
    """Class -> ROC AUC over the frames of its anomalous videos and of all normal ones, and how many are its own."""
    normal = [video for video in labels if not labels[video].any()]
    found = {}
    for name in sorted({classes[video] for video in labels if labels[video].any()}):
        own = [video for video in labels if labels[video].any() and classes[video] == name]
        y = np.concatenate([labels[video] for video in own + normal])
        s = np.concatenate([scores[video] for video in own + normal])
        if not y.all():
            found[name] = (float(roc_auc_score(y, s)), len(own))
    return found
