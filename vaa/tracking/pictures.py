"""Pictures for W&B's tables: a score track over its labels, a frame with its boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np

from vaa.errors import VideoError
from vaa.evaluation.detection import Labels
from vaa.types import Box, Floats, Pixels, Video
from vaa.video.sources import frames

log = logging.getLogger("vaa")
_WIDTH = 640
_KINDS = {0: "found", 1: "annotated"}


def score_plot(scores: Floats, labels: Labels | None) -> Pixels:
    """The scores in time, with a strip beneath that is red where frames are anomalous: RGB of shape (120, 480, 3)."""
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
    video: Video, number: int, found: Iterable[Box], true: Iterable[Box], said: str, decoder: str
) -> Any:
    """A W&B image of a frame with the boxes on it, found ones called `said`; None where it cannot be decoded."""
    import wandb
    from PIL import Image

    try:
        pixels = frames(video, [number], decoder)[0]
    except VideoError as error:
        log.debug("no picture of %s: %s", video.id, error)
        return None
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    if width > _WIDTH:
        picture = picture.resize((_WIDTH, max(1, round(height * _WIDTH / width))))
    drawn: dict[str, Any] = {}
    for kind, boxes in ((0, found), (1, true)):
        data = [_box(box, kind, width, height, said) for box in boxes if box.frame == number]
        if data:
            drawn[_KINDS[kind]] = {"box_data": data, "class_labels": dict(_KINDS)}
    return wandb.Image(picture, boxes=drawn or None, file_type="jpg", caption=f"{video.id}, frame {number}")


def _box(box: Box, kind: int, width: int, height: int, said: str) -> dict[str, Any]:
    """As W&B wants it: edges as shares of the picture, so that they hold at any size of it."""
    x1, y1, x2, y2 = box.xyxy
    return {
        "position": {"minX": x1 / width, "minY": y1 / height, "maxX": x2 / width, "maxY": y2 / height},
        "class_id": kind,
        "box_caption": (said or _KINDS[kind]) if kind == 0 else _KINDS[kind],
        "scores": {"score": float(box.score)},
    }
