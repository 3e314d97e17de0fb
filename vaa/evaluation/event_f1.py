"""Precision, recall and F1 of predicted events against annotated ones, at thresholds of temporal IoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.event_rule import EventRule
from vaa.evaluation.metric_set import EvaluatedVideo, ratio
from vaa.evaluation.protocol import intervals

Interval = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class EventF1:
    """`event_precision/T`, `event_recall/T`, `event_f1/T` for each tIoU T of `tious`, and `event_mean_precision`.

    Each annotated event in turn takes the free predicted event of its video with the highest temporal IoU, and is hit
    if this is at least T; precision and recall are over all videos (2604.09327). `event_mean_precision` is the mean of
    the precisions, which the paper calls mAP. Scores have to be about 0 to 1 for the rule's threshold to mean anything.
    """

    rule: EventRule
    tious: Sequence[float]

    def measure(self, video: EvaluatedVideo) -> tuple[list[int], int, int]:
        """The hits at each tIoU, the number of predicted events, and that of annotated ones."""
        predicted, annotated = intervals(self.rule.frames(video.scores)), intervals(video.labels)
        return [count_hits(predicted, annotated, tiou) for tiou in self.tious], len(predicted), len(annotated)

    def combine(self, measured: Sequence[tuple[list[int], int, int]], weights: Numbers) -> dict[str, Numbers]:
        """Over all videos; a precision without predicted events is NaN."""
        hits = np.array([each for each, _, _ in measured], dtype=np.float64)
        predicted, annotated = [each[1] for each in measured], [each[2] for each in measured]
        metrics: dict[str, Numbers] = {}
        precisions = []
        for k, tiou in enumerate(self.tious):
            precisions.append(ratio(hits[:, k], predicted, weights))
            metrics |= {
                f"event_precision/{tiou:g}": precisions[-1],
                f"event_recall/{tiou:g}": ratio(hits[:, k], annotated, weights),
                f"event_f1/{tiou:g}": ratio(2 * hits[:, k], np.add(predicted, annotated), weights),
            }
        return metrics | {"event_mean_precision": np.mean(precisions, axis=0)}


def count_hits(predicted: Sequence[Interval], annotated: Sequence[Interval], tiou: float) -> int:
    """How many annotated events are hit; intervals are [start, stop) in frames of one video."""
    free, hits = list(predicted), 0
    for event in annotated:
        best = max(free, key=lambda other: temporal_iou(event, other), default=None)
        if best is not None and temporal_iou(event, best) >= tiou:
            free.remove(best)
            hits += 1
    return hits


def temporal_iou(a: Interval, b: Interval) -> float:
    """Intersection over union of two intervals [start, stop)."""
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / ((a[1] - a[0]) + (b[1] - b[0]) - shared)
