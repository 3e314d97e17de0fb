"""`overview.png`: ROC and precision-recall curves, and the score tracks of the highest-scoring videos."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.roc import Curves, Labels
from vaa.report import files
from vaa.types import Floats

_MAX_TRACKS = 8


def write_overview(file: Path, evaluation: Evaluation, notices: Sequence[str]) -> None:
    """Write the picture, headed by the notices; anomalous frames are shaded. Without scores there is none."""
    from matplotlib.figure import Figure

    scores = evaluation.scores
    if not scores:
        return
    shown = sorted(scores, key=lambda video: -float(scores[video].max()))[:_MAX_TRACKS]
    figure = Figure(figsize=(12, 2.6 + 0.9 * len(shown)), layout="constrained")
    if notices:
        figure.suptitle("\n".join(textwrap.fill(notice, 130) for notice in notices), color="tab:red", fontsize=9)
    parts: Any = figure.subfigures(2, 1, height_ratios=[2.6, 0.9 * len(shown)])
    _draw_curves(parts[0], evaluation.curves)
    for axes, video in zip(np.atleast_1d(parts[1].subplots(len(shown), 1)), shown, strict=True):
        _draw_track(axes, video, scores[video], evaluation.labels)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=80, format=file.suffix.removeprefix("."))
    files.write_bytes(file, picture.getvalue())


def _draw_curves(figure: Any, curves: Curves | None) -> None:
    roc, pr = figure.subplots(1, 2)
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))
    pr.set(title="precision-recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    if curves is None:
        return
    roc.plot(curves.fpr, curves.tpr)
    roc.plot([0, 1], [0, 1], linestyle=":", color="grey")
    pr.plot(curves.recall, curves.precision)


def _draw_track(axes: Any, video: str, scores: Floats, labels: Mapping[str, Labels]) -> None:
    frames = np.arange(len(scores))
    axes.plot(frames, scores, linewidth=1)
    if video in labels:
        axes.fill_between(frames, 0, 1, where=labels[video], color="tab:red", alpha=0.2, linewidth=0)
    axes.set(xlim=(0, len(scores)), ylim=(0, 1), yticks=[0, 1])
    axes.set_title(video, fontsize=8, loc="left", pad=2)
