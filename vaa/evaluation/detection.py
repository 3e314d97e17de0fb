"""Frame-level detection: how well scores rank anomalous frames above normal ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.evaluation.roc import Labels, group_frames, roc_auc
from vaa.types import Floats


def detection(labels: Sequence[Labels], scores: Sequence[Floats]) -> dict[str, float]:
    """Metrics over the frames of all videos, and the mean AUC within a video; one array of shape (frames,) each.

    `pr_auc` integrates the precision-recall curve by trapezoids (LAVAD, URF, VERA), `average_precision` by steps
    (CoReVAD). Thresholds are the best on these labels: upper bounds, not thresholds known beforehand. Where the frames
    are of one class only, all but `anomalous_share` is NaN.
    """
    groups = group_frames(labels, scores)
    metrics = dict.fromkeys(
        ("roc_auc", "pr_auc", "average_precision", "within_video_auc", "f1_best", "threshold_youden", "threshold_f1"),
        math.nan,
    ) | {"anomalous_share": float(np.mean(np.concatenate(labels)))}
    ranking = groups.ranking()
    if ranking is None:
        return metrics
    recall, precision = ranking.tpr, ranking.precision
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = (
        len(f1) - 1 - int(np.argmax(f1[::-1]))
    )  # of several equal ones the lowest threshold, as in scikit-learn's curves
    return metrics | {
        "roc_auc": ranking.roc_auc(),
        "pr_auc": ranking.pr_auc(),
        "average_precision": ranking.average_precision(),
        "within_video_auc": _mean(groups.within_video_roc_aucs()),
        "f1_best": float(f1[best]),
        "threshold_youden": float(ranking.thresholds[int(np.argmax(ranking.tpr - ranking.fpr))]),
        "threshold_f1": float(ranking.thresholds[best]),
    }


def within_video_auc(labels: Sequence[Labels], scores: Sequence[Floats]) -> float:
    """The mean ROC AUC within each video that has both classes: the AUC over all frames mostly ranks whole videos."""
    return _mean(group_frames(labels, scores).within_video_roc_aucs())


def _mean(aucs: Floats) -> float:
    return float(np.mean(aucs)) if len(aucs) else math.nan


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class: its anomalous videos, their frames, the anomalous share of these, and how well they are detected."""

    name: str
    videos: int
    frames: int
    anomalous_share: float
    roc_auc: float
    within_video_auc: float


def class_results(
    labels: Sequence[Labels], scores: Sequence[Floats], classes: Sequence[str]
) -> tuple[ClassResult, ...]:
    """The result of each class, by name; its ROC AUC is over its anomalous videos and all normal ones.

    One array of shape (frames,) and one class per video. A class with commas is several, and the video counts in each
    (XD-Violence). A video is normal if none of its frames is anomalous, whatever its class is. The ROC AUC is NaN where
    there is no normal frame; a class without anomalous frames is left out.
    """
    normal = [video for video, y in enumerate(labels) if not y.any()]
    videos_of: dict[str, list[int]] = {}
    for video, y in enumerate(labels):
        if y.any():
            for name in class_names(classes[video]):
                videos_of.setdefault(name, []).append(video)
    results = []
    for name, own in sorted(videos_of.items()):
        y, s = (np.concatenate([arrays[video] for video in own + normal]) for arrays in (labels, scores))
        own_labels, own_scores = [labels[video] for video in own], [scores[video] for video in own]
        frames = np.concatenate(own_labels)
        results.append(
            ClassResult(
                name=name,
                videos=len(own),
                frames=len(frames),
                anomalous_share=float(frames.mean()),
                roc_auc=roc_auc(y, s),
                within_video_auc=within_video_auc(own_labels, own_scores),
            )
        )
    return tuple(results)


def class_names(label: str) -> list[str]:
    """The classes of a video, whose annotation may name several, with commas."""
    return [name for name in dict.fromkeys(part.strip() for part in label.split(",")) if name]
