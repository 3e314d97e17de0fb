"""A run as one picture: ROC and precision-recall curves, and the score tracks of the highest-scoring videos."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaa.evaluation.curves import curves
from vaa.evaluation.detection import Labels
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import files
from vaa.types import Dataset, Floats

_SHOWN = 8


def overview(file: Path, result: RunResult, dataset: Dataset, protocol: Protocol, notices: Sequence[str]) -> None:
    """Write the picture, headed by the notices; anomalous frames are shaded, without labels there are only tracks."""
    from matplotlib.figure import Figure

    spans = protocol.spans(dataset)
    scored = [report for report in result.reports.values() if report.track is not None]
    scores = {report.video.id: protocol.frame_scores(report) for report in scored}
    labels = {r.video.id: protocol.frame_labels(r.video, spans[r.video.id]) for r in scored if r.video.id in spans}
    if not scores:
        return
    shown = sorted(scores, key=lambda video: -float(scores[video].max()))[:_SHOWN]
    figure = Figure(figsize=(12, 2.6 + 0.9 * len(shown)), layout="constrained")
    if notices:
        figure.suptitle("\n".join(textwrap.fill(notice, 130) for notice in notices), color="tab:red", fontsize=9)
    parts: Any = figure.subfigures(2, 1, height_ratios=[2.6, 0.9 * len(shown)])
    _curves(parts[0], [labels[video] for video in labels], [scores[video] for video in labels])
    for axes, video in zip(np.atleast_1d(parts[1].subplots(len(shown), 1)), shown, strict=True):
        _track(axes, video, scores[video], labels)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80, format=file.suffix.removeprefix("."))
    files.put(file, drawn.getvalue())


def _curves(figure: Any, labels: Sequence[Labels], scores: Sequence[Floats]) -> None:
    roc, pr = figure.subplots(1, 2)
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))
    pr.set(title="precision-recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    found = curves(labels, scores)
    if found is None:
        return
    roc.plot(found.false_alarms, found.hits)
    roc.plot([0, 1], [0, 1], linestyle=":", color="grey")
    pr.plot(found.recall, found.precision)


def _track(axes: Any, video: str, scores: Floats, labels: Mapping[str, Labels]) -> None:
    frames = np.arange(len(scores))
    axes.plot(frames, scores, linewidth=1)
    if video in labels:
        axes.fill_between(frames, 0, 1, where=labels[video], color="tab:red", alpha=0.2, linewidth=0)
    axes.set(xlim=(0, len(scores)), ylim=(0, 1), yticks=[0, 1])
    axes.set_title(video, fontsize=8, loc="left", pad=2)
