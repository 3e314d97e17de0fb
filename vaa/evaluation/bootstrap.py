"""Detection metrics of many resamples of the videos at once, exactly: counts are summed, no curve is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from vaa.evaluation.detection import Labels
from vaa.types import Floats

Numbers = NDArray[np.float64]
NAMES = ("roc_auc", "pr_auc", "average_precision", "f1_best")
_CELLS = 100_000  # of one array at work; larger ones fall out of the processor's cache


@dataclass(frozen=True, eq=False)
class WeightedRanking:
    """The frames of all videos, as counts at each distinct score that an anomalous frame has, highest first.

    Rows are these scores, columns the videos. `anomalous` and `tied` count the anomalous and the normal frames of this
    very score, `between` the normal ones above it and below the row before. Whatever the metrics are, they change at
    these scores only. `positives`, `negatives`: frames of each video.
    """

    anomalous: csr_array
    tied: csr_array
    between: csr_array
    positives: Numbers
    negatives: Numbers


@dataclass(frozen=True)
class Interval:
    """Where the middle 95 % of the resamples lie; of `undefined` resamples there is no number."""

    low: float
    high: float
    undefined: int


def ranking(labels: Sequence[Labels], scores: Sequence[Floats]) -> WeightedRanking:
    """Count the frames of the videos, one array of shape (frames,) each."""
    y, s = np.concatenate(labels), np.concatenate(scores)
    video = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
    distinct, place = np.unique(s, return_inverse=True)
    has = np.zeros(len(distinct), dtype=np.int64)
    has[place[y]] = 1
    rows = int(has.sum())
    row = (rows - np.cumsum(has))[place]  # the highest such score that is not above the frame's; `rows`: there is none
    tied = has[place].astype(bool)

    def counted(chosen: Labels) -> csr_array:
        where = row[chosen], video[chosen]
        return csr_array(coo_array((np.ones(len(where[0])), where), shape=(rows, len(labels))))

    counts = np.array([[each.sum(), len(each) - each.sum()] for each in labels], dtype=np.float64)
    return WeightedRanking(counted(y), counted(tied & ~y), counted(~tied & (row < rows)), counts[:, 0], counts[:, 1])


def resamples(videos: int, times: int, seed: int) -> Numbers:
    """Shape (times, videos): how often each video is drawn, with replacement, as many as there are."""
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=times)
    return drawn.astype(np.float64)


def flat(ranked: WeightedRanking, weights: Numbers) -> dict[str, Numbers]:
    """NAMES -> shape (times,): the flat metrics with each video taken as often as `weights`, (times, videos), says.

    NaN where a resample has frames of one class only.
    """
    often = np.ascontiguousarray(weights.T)
    positives, negatives = ranked.positives @ often, ranked.negatives @ often
    hits, alarms, found = np.zeros(len(weights)), np.zeros(len(weights)), np.zeros((len(NAMES), len(weights)))
    rows, step = ranked.anomalous.shape[0], max(1, _CELLS // max(1, len(weights)))
    for start in range(0, rows, step):
        parts = (part[start : start + step] @ often for part in (ranked.anomalous, ranked.tied, ranked.between))
        anomalous, tied, between = parts
        hit = hits + np.cumsum(anomalous, axis=0)
        alarm = alarms + np.cumsum(between + tied, axis=0)
        sums, best = _block(anomalous, tied, hit, alarm, positives)
        found[:3] += sums
        found[3] = np.maximum(found[3], best)
        hits, alarms = hit[-1], alarm[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found[0] = 1 - found[0] / (positives * negatives)
        found[1:3] /= positives
    found[:, (positives == 0) | (negatives == 0)] = np.nan
    return dict(zip(NAMES, found, strict=True))


def _block(anomalous: Numbers, tied: Numbers, hit: Numbers, alarm: Numbers, positives: Numbers) -> tuple[Any, Numbers]:
    """What some rows, of shape (rows, times), add to the sums of three metrics, and the best F1 among them.

    `hit`, `alarm`: the anomalous and normal frames of this score and above.
    """
    kept = hit + alarm
    precision = hit / np.maximum(kept, 1)
    above = kept - anomalous - tied  # frames of higher scores
    before = np.where(above > 0, (hit - anomalous) / np.maximum(above, 1), 1)
    misranked = np.einsum("ij,ij->j", anomalous, alarm - tied / 2)
    by_steps = np.einsum("ij,ij->j", anomalous, precision)
    by_trapezoids = (by_steps + np.einsum("ij,ij->j", anomalous, before)) / 2
    f1 = 2 * hit / np.maximum(kept + positives, 1)
    return (misranked, by_trapezoids, by_steps), f1.max(axis=0)


def mean(sums: Numbers, counts: Numbers, weights: Numbers) -> Numbers:
    """Shape (times,): the mean over what each video brings, `counts` things with these `sums`; NaN of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weights @ sums) / (weights @ counts))


def interval(values: Numbers) -> Interval:
    """The 95 % percentile interval of resampled values, shape (times,); NaN if none is a number."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Interval(float(low), float(high), len(values) - len(known))
