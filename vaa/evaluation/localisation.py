"""Localisation: how well boxes on annotated frames fit (URF's TIoU)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vaa.types import Box

_MIN_CONFIDENCE = 0.5


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2); 1e-6 is added to the union, as in URF."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    intersection = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return intersection / (areas - intersection + 1e-6)


def localisation(truths: Mapping[str, Sequence[Box]], predicted: Mapping[str, Sequence[Box]]) -> dict[str, float]:
    """TIoU: the mean IoU over all annotated frames, and the mean of the videos' means; NaN without annotated frames.

    A frame counts 0 where no box was predicted or the most confident one has a confidence under 0.5 (URF). A frame with
    several annotated boxes counts each of them.
    """
    videos = [_video(boxes, predicted.get(video, ())) for video, boxes in truths.items() if boxes]
    values = [value for video in videos for value in video]
    return {
        "tiou": float(np.mean(values)) if values else math.nan,
        "tiou_per_video": float(np.mean([np.mean(video) for video in videos])) if videos else math.nan,
        "annotated_frames": len(values),
    }


def _video(truth: Sequence[Box], predicted: Sequence[Box]) -> list[float]:
    best: dict[int, Box] = {}
    for box in predicted:
        if box.frame not in best or box.score > best[box.frame].score:
            best[box.frame] = box
    pairs = [(box, best.get(box.frame)) for box in truth]
    return [
        iou(box.xyxy, other.xyxy) if other is not None and other.score >= _MIN_CONFIDENCE else 0.0
        for box, other in pairs
    ]
