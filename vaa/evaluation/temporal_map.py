"""Mean average precision of the intervals of each class at thresholds of temporal IoU, as VadCLIP counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.event_f1 import Interval, temporal_iou
from vaa.evaluation.metric_set import EvaluatedVideo
from vaa.evaluation.protocol import intervals
from vaa.evaluation.roc import Labels
from vaa.types import Floats

_NORMAL = "normal"
_STEP = 16  # frames of a feature
_SHORTEST = 2  # frames

Detection = tuple[float, Interval]


@dataclass(frozen=True, kw_only=True)
class ClassEvents:
    """The predicted intervals with their scores, and the annotated ones, of each class (lower case) in one video."""

    predicted: dict[str, list[Detection]]
    annotated: dict[str, list[Interval]]


@dataclass(frozen=True, kw_only=True)
class TemporalMap:
    """`map/T` for each tIoU T of `tious` and their mean `map`, in [0, 1]; `map_anomalous` without the class Normal.

    The scores of a class are those of the definition of its name (`watch_for`), one of which may be Normal. Per class
    and video: frames above the highest score minus 0.6 of the range form intervals, of 2 frames at least, each with its
    highest score plus 0.7 of the mean of the n/16 highest scores. Average precision of a class is the sum of the
    precisions at its hits by the number of annotated intervals, and the mean is over all classes; where any class has
    no predicted interval at all, it is 0, as in the authors' program.

    `normal_whole`: a normal video is one interval of the class Normal from end to end, as for XD-Violence; without it,
    as for UCF-Crime, that class has no annotated interval, so that its average precision is 0.
    """

    tious: Sequence[float]
    normal_whole: bool

    def measure(self, video: EvaluatedVideo) -> ClassEvents | None:
        """The intervals of each class; None without scores of definitions."""
        tracks = video.report.definition_tracks
        if not tracks:
            return None
        n = video.report.video.n_frames
        predicted = {each.name.casefold(): predict(each.track.per_frame(n).values) for each in tracks}
        annotated: dict[str, list[Interval]] = {}
        for span in video.truth.spans:
            annotated.setdefault(span.label.casefold(), []).append((span.start, min(span.stop, n)))
        if not video.truth.spans and self.normal_whole:
            annotated[_NORMAL] = [(0, n)]
        return ClassEvents(predicted=predicted, annotated=annotated)

    def combine(self, measured: Sequence[ClassEvents], weights: Numbers) -> dict[str, Numbers]:
        """The means over the classes that have scores."""
        classes = sorted({name for video in measured for name in video.predicted})
        anomalous = [name for name in classes if name != _NORMAL]
        metrics: dict[str, Numbers] = {}
        for tiou in self.tious:
            by_class = {name: _average_precisions(measured, name, tiou, weights) for name in classes}
            metrics[f"map/{tiou:g}"] = _mean([by_class[name] for name in classes])
            metrics[f"map_anomalous/{tiou:g}"] = _mean([by_class[name] for name in anomalous])
        for name in ("map", "map_anomalous"):
            metrics[name] = np.mean([metrics[f"{name}/{tiou:g}"] for tiou in self.tious], axis=0)
        return metrics


def predict(scores: Floats) -> list[Detection]:
    """The intervals of one class in one video with their scores; `scores` has shape (frames,)."""
    if not len(scores):
        return []
    top = len(scores) // _STEP
    mean = float(np.sort(scores)[-top:].mean()) if top else 0.0
    high: Labels = scores > scores.max() - 0.6 * (scores.max() - scores.min())
    runs = [(start, stop) for start, stop in intervals(high) if stop - start >= _SHORTEST]
    return [(float(scores[start:stop].max()) + 0.7 * mean, (start, stop)) for start, stop in runs]


def _average_precisions(measured: Sequence[ClassEvents], name: str, tiou: float, weights: Numbers) -> Numbers:
    """Shape (times,); NaN where a resample has no predicted interval of the class, which makes the mean 0."""
    scores: list[float] = []
    hits: list[bool] = []
    video: list[int] = []
    for k, each in enumerate(measured):
        free = list(each.annotated.get(name, ()))
        for score, interval in sorted(each.predicted.get(name, ()), key=lambda detection: -detection[0]):
            best = max(free, key=lambda other: temporal_iou(interval, other), default=None)
            hit = best is not None and temporal_iou(interval, best) >= tiou
            if best is not None and hit:
                free.remove(best)
            scores.append(score)
            hits.append(hit)
            video.append(k)
    order = np.argsort(-np.array(scores), kind="stable")
    drawn = weights[:, np.array(video, dtype=int)[order]]
    found = drawn * np.array(hits, dtype=bool)[order]
    annotated = weights @ np.array([len(each.annotated.get(name, ())) for each in measured], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.cumsum(found, axis=1) / np.cumsum(drawn, axis=1)
        area = np.where(found > 0, precision * found, 0.0).sum(axis=1) / annotated
    return np.where(drawn.any(axis=1), np.where(annotated > 0, area, 0.0), np.nan)


def _mean(values: Sequence[Numbers]) -> Numbers:
    mean = np.mean(values, axis=0) if values else np.array([np.nan])
    return np.asarray(np.where(np.isnan(mean), 0.0, mean)) if values else mean
