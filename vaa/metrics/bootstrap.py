"""Detection metrics of many resamples of the videos at once, exactly: counts are summed, no curve is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from vaa.metrics.detection import Labels
from vaa.types import Floats

Numbers = NDArray[np.float64]
NAMES = ("roc_auc", "pr_auc", "average_precision", "f1_best")
_CELLS = 2_000_000  # of one array at work; larger ones fall out of the processor's cache


@dataclass(frozen=True, eq=False)
class Ranking:
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


def ranking(labels: Sequence[Labels], scores: Sequence[Floats]) -> Ranking:
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
    return Ranking(counted(y), counted(tied & ~y), counted(~tied & (row < rows)), counts[:, 0], counts[:, 1])


def resamples(videos: int, times: int, seed: int) -> Numbers:
    """Shape (times, videos): how often each video is drawn, with replacement, as many as there are."""
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=times)
    return drawn.astype(np.float64)


def flat(ranked: Ranking, weights: Numbers) -> dict[str, Numbers]:
    """NAMES -> shape (times,): the flat metrics with each video taken as often as `weights`, (times, videos), says.

    NaN where a resample has frames of one class only.
    """
    step = max(1, _CELLS // max(1, ranked.anomalous.shape[0]))
    parts = [_flat(ranked, weights[k : k + step].T) for k in range(0, len(weights), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def _flat(ranked: Ranking, weights: Numbers) -> dict[str, Numbers]:
    """The same for weights of shape (videos, times)."""
    anomalous, tied = ranked.anomalous @ weights, ranked.tied @ weights
    hits, alarms = np.cumsum(anomalous, axis=0), np.cumsum(ranked.between @ weights + tied, axis=0)
    positives, negatives = ranked.positives @ weights, ranked.negatives @ weights
    precision = hits / np.maximum(hits + alarms, 1)
    kept = hits + alarms - anomalous - tied  # frames above this score
    before = np.where(kept > 0, (hits - anomalous) / np.maximum(kept, 1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "roc_auc": (anomalous * (negatives - alarms + tied / 2)).sum(axis=0) / (positives * negatives),
            "pr_auc": (anomalous * (precision + before)).sum(axis=0) / (2 * positives),
            "average_precision": (anomalous * precision).sum(axis=0) / positives,
            "f1_best": (2 * hits / (hits + alarms + positives)).max(axis=0, initial=0),
        }
    one_class = (positives == 0) | (negatives == 0)
    return {name: np.where(one_class, np.nan, values) for name, values in found.items()}


def mean(sums: Numbers, counts: Numbers, weights: Numbers) -> Numbers:
    """Shape (times,): the mean over what each video brings, `counts` things with these `sums`; NaN of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weights @ sums) / (weights @ counts))


def interval(values: Numbers) -> Interval:
    """The 95 % percentile interval of resampled values, shape (times,); NaN if none is a number."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Interval(float(low), float(high), len(values) - len(known))
