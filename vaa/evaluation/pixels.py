"""Pixel-level AUC of score maps that are made from predicted boxes, by two definitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaa.evaluation import bootstrap
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.metric_set import EvaluatedVideo
from vaa.evaluation.roc import Labels
from vaa.types import Box, Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelScores:
    """Of one video: each frame's critical score with its label, and scores of pixels with their numbers by label.

    `frame_scores`, `frame_labels`: shape (frames,). `scores`: the distinct scores of pixels, shape (n,); `anomalous`,
    `normal`: how many pixels of each label have them.
    """

    frame_scores: Floats
    frame_labels: Labels
    scores: Floats
    anomalous: NDArray[np.int64]
    normal: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PixelAuc:
    """`pixel_auc_a`, `pixel_auc_b`; absent without pixel masks.

    a: an anomalous frame is found at a threshold if the share `found` of its anomalous pixels are above it, a normal
    frame is a false alarm if any pixel is; ROC AUC over frames (UCSD). b: ROC AUC over all pixels. The score of a pixel
    is the highest of the boxes over it, 0 outside.
    """

    found: float

    def measure(self, video: EvaluatedVideo) -> PixelScores | None:
        """The scores of its pixels; None without masks."""
        masks = video.truth.masks
        if masks is None:
            return None
        by_frame: dict[int, list[Box]] = {}
        for box in video.report.boxes:
            by_frame.setdefault(box.frame, []).append(box)
        critical = np.zeros(len(video.labels))
        counts: dict[float, list[int]] = {}
        labels = np.zeros(len(video.labels), dtype=np.bool_)
        for number in range(len(video.labels)):
            mask = masks.frame(number)
            scores = score_map(by_frame.get(number, ()), mask.shape)
            labels[number] = mask.any()
            critical[number] = _critical(scores, mask, self.found)
            for positive, pixels in ((0, scores[mask]), (1, scores[~mask])):
                for score, count in zip(*np.unique(pixels, return_counts=True), strict=True):
                    counts.setdefault(float(score), [0, 0])[positive] += int(count)
        totals = np.array(list(counts.values()), dtype=np.int64).reshape(-1, 2)
        return PixelScores(
            frame_scores=critical,
            frame_labels=labels,
            scores=np.array(list(counts)),
            anomalous=totals[:, 0],
            normal=totals[:, 1],
        )

    def combine(self, measured: Sequence[PixelScores], weights: Numbers) -> dict[str, Numbers]:
        """Both areas over all videos."""
        frames = bootstrap.count_frames([each.frame_labels for each in measured], [m.frame_scores for m in measured])
        scores = np.concatenate([each.scores for each in measured])
        video = np.repeat(np.arange(len(measured)), [len(each.scores) for each in measured])
        anomalous = np.concatenate([each.anomalous for each in measured])
        normal = np.concatenate([each.normal for each in measured])
        by_pixel = [_weighted_auc(scores, anomalous * row[video], normal * row[video]) for row in weights]
        return {"pixel_auc_a": bootstrap.flat(frames, weights)["roc_auc"], "pixel_auc_b": np.array(by_pixel)}


def score_map(boxes: Sequence[Box], shape: tuple[int, ...]) -> Floats:
    """Shape (height, width): the highest score of the boxes over each pixel, 0 outside; edges are inclusive."""
    scores = np.zeros(shape)
    for box in boxes:
        x1, y1 = (max(0, math.floor(edge)) for edge in box.xyxy[:2])
        x2, y2 = (math.floor(edge) + 1 for edge in box.xyxy[2:])
        region = scores[y1:y2, x1:x2]
        np.maximum(region, box.score, out=region)
    return scores


def _critical(scores: Floats, mask: Labels, found: float) -> float:
    """The highest threshold at which a frame counts as anomalous: scores of at least it are marked."""
    if not mask.any():
        return float(scores.max(initial=0.0))
    own = np.sort(scores[mask])[::-1]
    return float(own[math.ceil(found * len(own)) - 1])


def _weighted_auc(scores: Floats, anomalous: Numbers, normal: Numbers) -> float:
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(scores[order][1:] != scores[order][:-1], True))
    tp, fp = np.cumsum(anomalous[order])[last], np.cumsum(normal[order])[last]
    if not len(tp) or not tp[-1] or not fp[-1]:
        return math.nan
    pairs = np.diff(fp, prepend=0.0) * (np.concatenate([[0.0], tp[:-1]]) + tp)
    return float(pairs.sum() / (2 * tp[-1] * fp[-1]))
