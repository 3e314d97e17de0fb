"""ROC and precision-recall curves as W&B draws them: several runs in one chart."""

from __future__ import annotations

from typing import Any

from vaa.evaluation.curves import curves, thin
from vaa.evaluation.evaluation import Evaluation
from vaa.types import Floats

_POINTS = 500


def charts(found: Evaluation, name: str) -> dict[str, Any]:
    """`curves/roc` and `curves/pr`, the line called `name`; nothing where the frames are of one class only."""
    drawn = curves(list(found.labels.values()), [found.scores[video] for video in found.labels])
    if drawn is None:
        return {}
    return {
        "curves/roc": _chart("ROC", name, "false positive rate", drawn.false_alarms, "true positive rate", drawn.hits),
        "curves/pr": _chart("Precision-recall", name, "recall", drawn.recall, "precision", drawn.precision),
    }


def _chart(title: str, name: str, across: str, x: Floats, up: str, y: Floats) -> Any:
    import wandb

    points = zip(*thin(x, y, _POINTS), strict=True)
    rows = [[name, float(a), float(b)] for a, b in points]
    axes = {"title": title, "x-axis-title": across, "y-axis-title": up}
    names = [column.replace(" ", "_") for column in (across, up)]
    table = wandb.Table(columns=["class", *names], data=rows)
    fields = {"x": names[0], "y": names[1], "class": "class"}
    return wandb.plot_table("wandb/area-under-curve/v0", table, fields, axes)
