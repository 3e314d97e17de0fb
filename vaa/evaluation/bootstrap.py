"""Detection metrics of many resamples of the videos, exactly, from counts that are weighted and summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from vaa.evaluation.roc import Counts, Labels, group_frames
from vaa.types import Floats

Numbers = NDArray[np.float64]
NAMES = ("roc_auc", "pr_auc", "average_precision", "f1_best")
_CELLS = 100_000  # of one block of rows; larger arrays do not fit into the processor's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameCounts:
    """The frames of all videos, counted at each distinct score that an anomalous frame has, highest score first.

    Rows are these scores, columns the videos: unlike a Ranking, whose counts are summed over the videos, this can be
    weighted by video. `anomalous` and `tied` count the anomalous and the normal frames of this very score, `between`
    the normal ones above it and below the row before. The metrics change at these scores only. `positives`,
    `negatives`: frames of each video.
    """

    anomalous: csr_array
    tied: csr_array
    between: csr_array
    positives: Numbers
    negatives: Numbers


@dataclass(frozen=True)
class Interval:
    """The interval of the middle 95 % of the resamples; `undefined` resamples have no value."""

    low: float
    high: float
    undefined: int


def count_frames(labels: Sequence[Labels], scores: Sequence[Floats]) -> FrameCounts:
    """Count the frames of the videos, one array of shape (frames,) each."""
    groups = group_frames(labels, scores)
    distinct, place = np.unique(groups.scores, return_inverse=True)
    has_anomalous = np.zeros(len(distinct), dtype=np.int64)
    has_anomalous[place[groups.anomalous > 0]] = 1
    rows = int(has_anomalous.sum())
    # The row of the highest such score that is not above the group's; `rows` where there is none.
    row = (rows - np.cumsum(has_anomalous))[place]
    tied = has_anomalous[place].astype(bool)

    def count(frames: Counts, chosen: Labels) -> csr_array:
        where = row[chosen], groups.video[chosen]
        return csr_array(coo_array((frames[chosen].astype(np.float64), where), shape=(rows, len(labels))))

    totals = np.array([[each.sum(), len(each) - each.sum()] for each in labels], dtype=np.float64)
    return FrameCounts(
        anomalous=count(groups.anomalous, groups.anomalous > 0),
        tied=count(groups.normal, tied & (groups.normal > 0)),
        between=count(groups.normal, ~tied & (row < rows) & (groups.normal > 0)),
        positives=totals[:, 0],
        negatives=totals[:, 1],
    )


def resamples(videos: int, times: int, seed: int) -> Numbers:
    """Shape (times, videos): how often each video is drawn, with replacement, as many as there are."""
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=times)
    return drawn.astype(np.float64)


def flat(counts: FrameCounts, weights: Numbers) -> dict[str, Numbers]:
    """NAMES -> shape (times,): the metrics over all frames, each video weighted by `weights` of shape (times, videos).

    NaN where a resample has frames of one class only.
    """
    by_video = np.ascontiguousarray(weights.T)
    positives, negatives = counts.positives @ by_video, counts.negatives @ by_video
    true_positives, false_positives = np.zeros(len(weights)), np.zeros(len(weights))
    values = np.zeros((len(NAMES), len(weights)))
    rows, step = counts.anomalous.shape[0], max(1, _CELLS // max(1, len(weights)))
    for start in range(0, rows, step):
        parts = (part[start : start + step] @ by_video for part in (counts.anomalous, counts.tied, counts.between))
        anomalous, tied, between = parts
        tp = true_positives + np.cumsum(anomalous, axis=0)
        fp = false_positives + np.cumsum(between + tied, axis=0)
        sums, best = _block(anomalous, tied, tp, fp, positives)
        values[:3] += sums
        values[3] = np.maximum(values[3], best)
        true_positives, false_positives = tp[-1], fp[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        values[0] = 1 - values[0] / (positives * negatives)
        values[1:3] /= positives
    values[:, (positives == 0) | (negatives == 0)] = np.nan
    return dict(zip(NAMES, values, strict=True))


def _block(anomalous: Numbers, tied: Numbers, tp: Numbers, fp: Numbers, positives: Numbers) -> tuple[Any, Numbers]:
    """What some rows, of shape (rows, times), add to the sums of three metrics, and the best F1 among them.

    `tp`, `fp`: the anomalous and normal frames of this score and above.
    """
    predicted = tp + fp
    precision = tp / np.maximum(predicted, 1)
    above = predicted - anomalous - tied  # frames of higher scores
    before = np.where(above > 0, (tp - anomalous) / np.maximum(above, 1), 1)
    misranked = np.einsum("ij,ij->j", anomalous, fp - tied / 2)
    by_steps = np.einsum("ij,ij->j", anomalous, precision)
    by_trapezoids = (by_steps + np.einsum("ij,ij->j", anomalous, before)) / 2
    f1 = 2 * tp / np.maximum(predicted + positives, 1)
    return (misranked, by_trapezoids, by_steps), f1.max(axis=0)


def mean(sums: Numbers, counts: Numbers, weights: Numbers) -> Numbers:
    """Shape (times,): the weighted mean of items of which each video has `counts` with the sum `sums`; NaN if none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weights @ sums) / (weights @ counts))


def interval(values: Numbers) -> Interval:
    """The 95 % percentile interval of resampled values, shape (times,); NaN if all are NaN."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (np.nan, np.nan)
    return Interval(float(low), float(high), len(values) - len(finite))
