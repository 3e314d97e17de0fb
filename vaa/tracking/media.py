"""Charts and pictures for W&B: ROC and precision-recall curves, a score track over its labels, a frame with boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np

from vaa.errors import VideoError
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.roc import Labels, thin_curve
from vaa.types import Box, Floats, Pixels, Video
from vaa.video.sources import frames

log = logging.getLogger("vaa")
_MAX_POINTS = 500  # of a curve
_MAX_WIDTH = 640  # pixels of a frame
_BOX_CLASSES = {0: "predicted", 1: "annotated"}


def curve_charts(evaluation: Evaluation, name: str) -> dict[str, Any]:
    """`curves/roc` and `curves/pr` with a line called `name`; empty where the frames are of one class only."""
    curves = evaluation.curves
    if curves is None:
        return {}
    return {
        "curves/roc": _chart("ROC", name, "false positive rate", curves.fpr, "true positive rate", curves.tpr),
        "curves/pr": _chart("Precision-recall", name, "recall", curves.recall, "precision", curves.precision),
    }


def _chart(title: str, name: str, x_title: str, x: Floats, y_title: str, y: Floats) -> Any:
    import wandb

    points = zip(*thin_curve(x, y, _MAX_POINTS), strict=True)
    rows = [[name, float(a), float(b)] for a, b in points]
    axes = {"title": title, "x-axis-title": x_title, "y-axis-title": y_title}
    names = [title.replace(" ", "_") for title in (x_title, y_title)]
    table = wandb.Table(columns=["class", *names], data=rows)
    fields = {"x": names[0], "y": names[1], "class": "class"}
    return wandb.plot_table("wandb/area-under-curve/v0", table, fields, axes)


def score_plot(scores: Floats, labels: Labels | None) -> Pixels:
    """The scores over time, with a strip below that is red where frames are anomalous: RGB of shape (120, 480, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 1.2), dpi=100)
    canvas: Any = FigureCanvasAgg(figure)
    track = figure.add_axes((0.06, 0.16, 0.92, 0.8))
    track.plot(np.arange(len(scores)), scores, linewidth=1)
    track.set(xlim=(0, max(1, len(scores))), ylim=(0, 1.02), xticks=[], yticks=[0, 1])
    track.tick_params(labelsize=7)
    strip = figure.add_axes((0.06, 0.03, 0.92, 0.1))
    strip.set_axis_off()
    if labels is not None:
        colours = ListedColormap(["#eeeeee", "#d62728"])
        strip.imshow(labels[np.newaxis], aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[:, :, :3].copy()


def frame_with_boxes(
    video: Video, number: int, predicted: Iterable[Box], annotated: Iterable[Box], caption: str, decoder: str
) -> Any:
    """A W&B image of a frame with its boxes, the predicted ones with a caption; None where it cannot be decoded."""
    import wandb
    from PIL import Image

    try:
        pixels = frames(video, [number], decoder)[0]
    except VideoError as error:
        log.debug("no picture of %s: %s", video.id, error)
        return None
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    if width > _MAX_WIDTH:
        picture = picture.resize((_MAX_WIDTH, max(1, round(height * _MAX_WIDTH / width))))
    boxes: dict[str, Any] = {}
    for class_id, group in ((0, predicted), (1, annotated)):
        data = [_box(box, class_id, width, height, caption) for box in group if box.frame == number]
        if data:
            boxes[_BOX_CLASSES[class_id]] = {"box_data": data, "class_labels": dict(_BOX_CLASSES)}
    return wandb.Image(picture, boxes=boxes or None, file_type="jpg", caption=f"{video.id}, frame {number}")


def _box(box: Box, class_id: int, width: int, height: int, caption: str) -> dict[str, Any]:
    """A box in W&B's format, with edges as shares of the picture."""
    x1, y1, x2, y2 = box.xyxy
    return {
        "position": {"minX": x1 / width, "minY": y1 / height, "maxX": x2 / width, "maxY": y2 / height},
        "class_id": class_id,
        "box_caption": (caption if class_id == 0 else "") or _BOX_CLASSES[class_id],
        "scores": {"score": float(box.score)},
    }
