"""`overview.png`: ROC and precision-recall curves, and the scores of the highest-scoring videos over time."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.protocol import intervals
from vaa.evaluation.roc import Curves, Labels
from vaa.report import files
from vaa.report.alerts import clock
from vaa.types import Floats, Video

_MAX_TRACKS = 12
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
"""Seconds between the ticks of a time axis."""


def write_overview(file: Path, evaluation: Evaluation, notices: Sequence[str]) -> None:
    """Write the picture, headed by the notices; labelled anomalous intervals are shaded. Without scores there is none.

    The curves are left out where there are none: without labels, or with frames of one class only.
    """
    from matplotlib.figure import Figure

    scores = {video: values for video, values in evaluation.scores.items() if len(values)}
    if not scores:
        return
    shown = sorted(scores, key=lambda video: -float(scores[video].max()))[:_MAX_TRACKS]
    heights = [*([2.6] if evaluation.curves else []), 0.4 + 1.0 * len(shown)]
    figure = Figure(figsize=(12, sum(heights)), layout="constrained")
    if notices:
        figure.suptitle("\n".join(textwrap.fill(notice, 130) for notice in notices), color="tab:red", fontsize=9)
    parts: Any = np.atleast_1d(np.array(figure.subfigures(len(heights), 1, height_ratios=heights)))
    if evaluation.curves:
        _draw_curves(parts[0], evaluation.curves, evaluation.metrics["anomalous_share"])
    parts[-1].suptitle(_title(len(shown), len(scores), any(evaluation.labels[v].any() for v in evaluation.labelled)))
    for axes, video in zip(np.atleast_1d(parts[-1].subplots(len(shown), 1)), shown, strict=True):
        _draw_track(axes, evaluation.reports[video].video, scores[video], evaluation.labels.get(video))
    picture = io.BytesIO()
    figure.savefig(picture, dpi=80, format=file.suffix.removeprefix("."))
    files.write_bytes(file, picture.getvalue())


def _title(shown: int, number: int, labelled: bool) -> str:
    videos = f"{shown} of {number} videos, those with the highest scores" if shown < number else f"{number} videos"
    text = f"Scores over time: {'1 video' if number == 1 else videos}"
    return f"{text}. Shaded: labelled anomalous" if labelled else text


def _draw_curves(figure: Any, curves: Curves, share: float) -> None:
    roc, pr = figure.subplots(1, 2)
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1))
    pr.set(title="precision-recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    roc.plot(curves.fpr, curves.tpr, label="this run")
    roc.plot([0, 1], [0, 1], linestyle=":", color="grey", label="by chance")
    pr.plot(curves.recall, curves.precision, label="this run")
    pr.plot([0, 1], [share, share], linestyle=":", color="grey", label="by chance")
    for axes in (roc, pr):
        axes.legend(fontsize=8)


def _draw_track(axes: Any, video: Video, scores: Floats, labels: Labels | None) -> None:
    """Scores and labels, both of shape (frames,), over the video's own times."""
    n, length = len(scores), video.end(len(scores))
    times = (
        np.array([video.seconds(frame) for frame in range(n)]) if video.times else np.arange(n) / (video.fps or 25.0)
    )
    axes.plot(times, scores, linewidth=1)
    if labels is not None:
        for start, stop in intervals(labels):
            axes.axvspan(video.seconds(start), video.end(stop), color="tab:red", alpha=0.2, linewidth=0)
    axes.set(xlim=(0, length or 1), ylim=(-0.04, 1.04), yticks=[0, 1], ylabel="score")
    if length >= _STEPS[0]:
        step = next((step for step in _STEPS if length / step <= 10), 86400)
        ticks = np.arange(0, length + 1e-6, step)
        axes.set_xticks(ticks, [clock(float(tick)) for tick in ticks])
    else:
        axes.set_xlabel("seconds")
    axes.set_title(video.id, fontsize=8, loc="left", pad=2)
