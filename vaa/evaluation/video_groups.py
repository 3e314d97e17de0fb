"""Areas over the frames of some of the videos: the anomalous ones, and those of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.evaluation import bootstrap
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.detection import class_names
from vaa.evaluation.metric_set import EvaluatedVideo


@dataclass(frozen=True, kw_only=True)
class AnomalousVideos:
    """`anomalous_roc_auc`, `anomalous_pr_auc`: over the frames of the videos that have an anomalous frame.

    Called "Ano-AUC" and "Abnormal" elsewhere: whether the scores rise at the right time, since whole normal videos,
    which are easy to tell apart, do not count.
    """

    def measure(self, video: EvaluatedVideo) -> EvaluatedVideo | None:
        """The video, if it is anomalous."""
        return video if video.labels.any() else None

    def combine(self, measured: Sequence[EvaluatedVideo], weights: Numbers) -> dict[str, Numbers]:
        """The areas over all these frames."""
        roc_auc, pr_auc = _areas(measured, weights)
        return {"anomalous_roc_auc": roc_auc, "anomalous_pr_auc": pr_auc}


@dataclass(frozen=True, kw_only=True)
class VideosOfClass:
    """`within_class_roc_auc/NAME`, `within_class_pr_auc/NAME`: over the frames of the anomalous videos of a class only.

    A class with commas is several, and the video counts in each (XD-Violence).
    """

    def measure(self, video: EvaluatedVideo) -> EvaluatedVideo | None:
        """The video, if it is anomalous."""
        return video if video.labels.any() else None

    def combine(self, measured: Sequence[EvaluatedVideo], weights: Numbers) -> dict[str, Numbers]:
        """The areas of each class, by name."""
        members: dict[str, list[int]] = {}
        for k, video in enumerate(measured):
            for name in class_names(video.truth.label):
                members.setdefault(name, []).append(k)
        metrics: dict[str, Numbers] = {}
        for name, own in sorted(members.items()):
            roc_auc, pr_auc = _areas([measured[k] for k in own], weights[:, own])
            metrics |= {f"within_class_roc_auc/{name}": roc_auc, f"within_class_pr_auc/{name}": pr_auc}
        return metrics


def _areas(videos: Sequence[EvaluatedVideo], weights: Numbers) -> tuple[Numbers, Numbers]:
    counts = bootstrap.count_frames([video.labels for video in videos], [video.scores for video in videos])
    areas = bootstrap.flat(counts, weights)
    return np.asarray(areas["roc_auc"]), np.asarray(areas["pr_auc"])
