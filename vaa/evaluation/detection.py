"""Frame-level detection: how well scores rank anomalous frames above the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vaa.evaluation.ranking import Labels, roc_auc, runs
from vaa.types import Floats

__all__ = ["Labels", "class_auc", "class_names", "detection", "within_video_auc"]


def detection(labels: Sequence[Labels], scores: Sequence[Floats]) -> dict[str, float]:
    """Flat metrics over the frames of all videos, and the mean AUC within a video; one array of shape (frames,) each.

    `pr_auc` integrates the precision-recall curve by trapezoids (LAVAD, URF, VERA), `average_precision` by steps
    (CoReVAD). Thresholds are the best on these very labels: upper bounds, not something one could have known. Where
    the frames are of one class only, all but `anomalous_share` is NaN.
    """
    counted = runs(labels, scores)
    found = dict.fromkeys(
        ("roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best", "threshold_youden", "threshold_f1"),
        math.nan,
    ) | {"anomalous_share": float(np.mean(np.concatenate(labels)))}
    ranked = counted.ranking()
    if ranked is None:
        return found
    recall, precision = ranked.hits, ranked.precision
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))  # of equals the lowest threshold, as scikit-learn's curves run
    return found | {
        "roc_auc": ranked.roc_auc(),
        "pr_auc": ranked.pr_auc(),
        "average_precision": ranked.average_precision(),
        "within_video_auc": _mean(counted.roc_aucs()),
        "f1_best": float(f1[best]),
        "threshold_youden": float(ranked.thresholds[int(np.argmax(ranked.hits - ranked.false_alarms))]),
        "threshold_f1": float(ranked.thresholds[best]),
    }


def within_video_auc(labels: Sequence[Labels], scores: Sequence[Floats]) -> float:
    """Mean ROC AUC of the videos that have both classes, NaN if none has: flat AUC mostly ranks whole videos."""
    return _mean(runs(labels, scores).roc_aucs())


def _mean(aucs: Floats) -> float:
    return float(np.mean(aucs)) if len(aucs) else math.nan


def class_auc(labels: Sequence[Labels], scores: Sequence[Floats], classes: Sequence[str]) -> dict[str, float]:
    """ROC AUC of each class, by name: over the frames of its anomalous videos and of all normal ones.

    One array of shape (frames,) and one class a video; a class with commas is several, and the video counts in each
    (XD-Violence). A video is normal if none of its frames is anomalous, whatever its class says. NaN for a class that
    has no frame to be told from; no entry for one without anomalous frames.
    """
    normal = [video for video, y in enumerate(labels) if not y.any()]
    own: dict[str, list[int]] = {}
    for video, y in enumerate(labels):
        if y.any():
            for name in class_names(classes[video]):
                own.setdefault(name, []).append(video)
    found = {}
    for name in sorted(own):
        y, s = (np.concatenate([arrays[video] for video in own[name] + normal]) for arrays in (labels, scores))
        found[name] = roc_auc(y, s)
    return found


def class_names(label: str) -> list[str]:
    """The classes of a video whose annotation may name several, with commas."""
    return [name for name in dict.fromkeys(part.strip() for part in label.split(",")) if name]
