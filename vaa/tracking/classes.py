"""The table of classes: how well each class of anomaly is told from all normal videos."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaa.evaluation.detection import class_auc, class_names, within_video_auc
from vaa.evaluation.evaluation import Evaluation


def rows(found: Evaluation) -> list[dict[str, Any]]:
    """A row a class: its anomalous videos, their frames, the share of these that is anomalous, both AUCs."""
    videos = list(found.labels)
    labels, scores = [found.labels[video] for video in videos], [found.scores[video] for video in videos]
    classes = [found.label(video) or "" for video in videos]
    told = []
    for name, auc in class_auc(labels, scores, classes).items():
        own = [k for k, label in enumerate(classes) if labels[k].any() and name in class_names(label)]
        frames = np.concatenate([labels[k] for k in own])
        told.append(
            {
                "class": name,
                "videos": len(own),
                "frames": len(frames),
                "anomalous_share": float(frames.mean()),
                "roc_auc": auc,
                "within_video_auc": within_video_auc([labels[k] for k in own], [scores[k] for k in own]),
            }
        )
    return told


def summary(classes: list[dict[str, Any]]) -> dict[str, float]:
    """`class_auc/NAME` -> the ROC AUC of each row's class, for the columns of the runs' table."""
    return {f"class_auc/{row['class']}": row["roc_auc"] for row in classes}
