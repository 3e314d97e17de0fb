"""One definition against the rest: how well the scores of each definition find the frames of its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.roc import roc_auc
from vaa.types import Report


def definition_metrics(evaluation: Evaluation) -> dict[str, float]:
    """`definition_roc_auc/NAME` of each definition that is named as an annotated class, and their mean.

    Positive are the frames of the class's intervals by the protocol, negative are all other frames of all videos, those
    of other classes included (the protocol of C-ShanghaiTech and C-Avenue: AnyAnomaly, WACV 2026). Empty where no
    definition has the name of a class; capitals do not matter.
    """
    reports = {video: evaluation.reports[video] for video in evaluation.labelled}
    classes = {span.label.casefold() for video in reports for span in evaluation.truths[video].spans} - {""}
    names = dict.fromkeys(each.name for report in reports.values() for each in report.definition_tracks)
    areas = {name: _roc_auc(evaluation, reports, name) for name in names if name.casefold() in classes}
    if not areas:
        return {}
    by_name = {f"definition_roc_auc/{name}": area for name, area in areas.items()}
    return by_name | {"definition_roc_auc_mean": float(np.mean(list(areas.values())))}


def _roc_auc(evaluation: Evaluation, reports: Mapping[str, Report], name: str) -> float:
    """Over the frames of all videos; NaN where no frame, or every frame, is of the class."""
    labels, scores = [], []
    for video, report in reports.items():
        spans = tuple(span for span in evaluation.truths[video].spans if span.label.casefold() == name.casefold())
        track = next(each.track for each in report.definition_tracks if each.name == name)
        labels.append(evaluation.protocol.frame_labels(report.video, spans))
        scores.append(evaluation.protocol.frame_scores(replace(report, track=track)))
    return roc_auc(np.concatenate(labels), np.concatenate(scores))
