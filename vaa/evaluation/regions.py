"""RBDC and TBDC: predicted boxes against annotated regions and tracks (Ramachandra and Jones, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.metric_set import EvaluatedVideo
from vaa.types import XYXY, Box


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionHits:
    """What each predicted box of a video does, highest score first; all of shape (boxes,).

    `false`: it matches no annotated box; `regions`: how many it finds that were not found yet; `tracks`: how many
    tracks reach the share `alpha` by it. The totals: annotated boxes, tracks, frames.
    """

    scores: NDArray[np.float64]
    false: NDArray[np.bool_]
    regions: NDArray[np.int64]
    tracks: NDArray[np.int64]
    totals: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class RegionsAndTracks:
    """`rbdc`, `tbdc`: the areas under the share of regions (tracks) found against false positives per frame, up to 1.

    A predicted box finds every annotated box of its frame with an IoU (of inclusive boxes) of at least `beta`; a track
    is found once the share `alpha` of its boxes is. Nothing is measured of videos without annotated boxes in the data
    set's other videos either: without any, the metrics are absent. `tbdc` needs boxes with tracks.
    """

    alpha: float
    beta: float

    def measure(self, video: EvaluatedVideo) -> RegionHits:
        """What its predicted boxes find."""
        return find_regions(video.report.boxes, video.truth.boxes, self.alpha, self.beta, len(video.labels))

    def combine(self, measured: Sequence[RegionHits], weights: Numbers) -> dict[str, Numbers]:
        """The areas over all videos."""
        regions, tracks, frames = (
            np.array(part, dtype=np.float64) for part in zip(*(m.totals for m in measured), strict=True)
        )
        if not regions.any() or not any(len(each.scores) for each in measured):
            return {}
        order = np.argsort(-np.concatenate([each.scores for each in measured]), kind="stable")
        video = np.repeat(np.arange(len(measured)), [len(each.scores) for each in measured])[order]
        false, found, whole = (
            np.concatenate([getattr(each, name) for each in measured])[order] for name in ("false", "regions", "tracks")
        )
        values = np.full((2, len(weights)), np.nan)
        for k, weight in enumerate(weights):
            drawn = weight[video]
            rate = np.cumsum(false * drawn) / max(1.0, weight @ frames)
            for row, gained, total in ((0, found, weight @ regions), (1, whole, weight @ tracks)):
                values[row, k] = _area(rate, np.cumsum(gained * drawn) / total) if total else np.nan
        return {"rbdc": values[0]} | ({"tbdc": values[1]} if tracks.any() else {})


def find_regions(
    predicted: Sequence[Box], annotated: Sequence[Box], alpha: float, beta: float, frames: int
) -> RegionHits:
    """Go through the predicted boxes of a video, highest score first, equal scores in their order."""
    by_frame: dict[int, list[int]] = {}
    lengths: dict[int, int] = {}
    for k, box in enumerate(annotated):
        by_frame.setdefault(box.frame, []).append(k)
        if box.track is not None:
            lengths[box.track] = lengths.get(box.track, 0) + 1
    ordered = sorted(predicted, key=lambda box: -box.score)
    found, counts = set[int](), dict.fromkeys(lengths, 0)
    false = np.zeros(len(ordered), dtype=np.bool_)
    regions, tracks = np.zeros(len(ordered), dtype=np.int64), np.zeros(len(ordered), dtype=np.int64)
    for k, box in enumerate(ordered):
        matching = [m for m in by_frame.get(box.frame, ()) if inclusive_iou(box.xyxy, annotated[m].xyxy) >= beta]
        false[k] = not matching
        new = [m for m in matching if m not in found]
        regions[k] = len(new)
        found.update(new)
        for track in (annotated[m].track for m in new):
            if track is not None:
                before, counts[track] = counts[track], counts[track] + 1
                tracks[k] += before / lengths[track] < alpha <= counts[track] / lengths[track]
    scores = np.array([box.score for box in ordered], dtype=np.float64)
    return RegionHits(
        scores=scores, false=false, regions=regions, tracks=tracks, totals=(len(annotated), len(lengths), frames)
    )


def inclusive_iou(a: XYXY, b: XYXY) -> float:
    """Intersection over union of two boxes whose edges are their last pixels: each side is one longer."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def _area(rate: Numbers, share: Numbers) -> float:
    """By trapezoids from (0, 0) to a rate of 1, flat from the last point below."""
    kept = rate <= 1
    x, y = np.concatenate([[0.0], rate[kept]]), np.concatenate([[0.0], share[kept]])
    if x[-1] != 1:
        x, y = np.append(x, 1.0), np.append(y, y[-1])
    return float(np.trapezoid(y, x))
