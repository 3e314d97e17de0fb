"""Localisation: how well boxes on annotated frames fit (URF's TIoU)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vaa.types import Box

_SURE = 0.5


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2); URF adds 1e-6 to the union."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (areas - shared + 1e-6)


def localisation(truths: Mapping[str, Sequence[Box]], found: Mapping[str, Sequence[Box]]) -> dict[str, float]:
    """TIoU: the mean IoU over all annotated frames, and the mean of the videos' means; NaN without annotated frames.

    A frame counts 0 where no box was found or the surest one has a confidence under 0.5 (URF). A frame with several
    annotated boxes counts each of them.
    """
    videos = [_video(boxes, found.get(video, ())) for video, boxes in truths.items() if boxes]
    every = [value for values in videos for value in values]
    return {
        "tiou": float(np.mean(every)) if every else math.nan,
        "tiou_per_video": float(np.mean([np.mean(values) for values in videos])) if videos else math.nan,
        "annotated_frames": len(every),
    }


def _video(truth: Sequence[Box], found: Sequence[Box]) -> list[float]:
    surest: dict[int, Box] = {}
    for box in found:
        if box.frame not in surest or box.score > surest[box.frame].score:
            surest[box.frame] = box
    fits = [(box, surest.get(box.frame)) for box in truth]
    return [iou(box.xyxy, best.xyxy) if best is not None and best.score >= _SURE else 0.0 for box, best in fits]
