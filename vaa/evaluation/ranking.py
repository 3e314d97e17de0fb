"""Scores ranked once: every curve and area is read from the counts at each distinct score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vaa.types import Floats

Labels = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """The distinct scores, highest first, and how many anomalous and other frames score at least as high: (n,) each.

    Both kinds of frame are there: `ranking` gives None where they are not.
    """

    thresholds: Floats
    anomalous: Counts
    others: Counts

    @cached_property
    def hits(self) -> Floats:
        """The true positive rate at each threshold, which is the recall."""
        return np.asarray(self.anomalous / self.anomalous[-1])

    @cached_property
    def false_alarms(self) -> Floats:
        """The false positive rate at each threshold."""
        return np.asarray(self.others / self.others[-1])

    @cached_property
    def precision(self) -> Floats:
        """The share of anomalous frames among those at or above each threshold."""
        return np.asarray(self.anomalous / (self.anomalous + self.others))

    def roc_auc(self) -> float:
        """The share of (anomalous, other) pairs of frames in the right order, half of it where they tie."""
        before = np.concatenate([[0], self.anomalous[:-1]])
        doubled = np.diff(self.others, prepend=0) * (before + self.anomalous)
        return float(doubled.sum() / (2 * int(self.anomalous[-1]) * int(self.others[-1])))

    def pr_auc(self) -> float:
        """The area below the precision-recall curve by trapezoids, from recall 0 at precision 1 (LAVAD, URF, VERA)."""
        recall, precision = np.concatenate([[0.0], self.hits]), np.concatenate([[1.0], self.precision])
        return float(np.trapezoid(precision, recall))

    def average_precision(self) -> float:
        """The same area by steps (CoReVAD)."""
        return float(np.sum(np.diff(self.hits, prepend=0.0) * self.precision))


@dataclass(frozen=True, eq=False)
class VideoRankings:
    """Neighbouring frames of one video, score and label, counted together; highest score first: (n,) each.

    Scores in time are mostly constant for a while, so there are far fewer of them than frames.
    """

    scores: Floats
    anomalous: Counts
    others: Counts
    video: NDArray[np.unsignedinteger]

    def ranking(self) -> Ranking | None:
        """Over all videos; None where all frames are of one kind."""
        if not self.anomalous.any() or not self.others.any():
            return None
        last = np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True))
        return Ranking(self.scores[last], np.cumsum(self.anomalous)[last], np.cumsum(self.others)[last])

    def roc_aucs(self) -> Floats:
        """ROC AUC within each video that has frames of both kinds, in their order."""
        if not len(self.video):
            return np.zeros(0)
        order = np.argsort(self.video, kind="stable")
        video, scores = self.video[order], self.scores[order]
        other = video[1:] != video[:-1]
        ends = np.flatnonzero(np.append(other | (scores[1:] != scores[:-1]), True))
        anomalous, others = np.cumsum(self.anomalous[order])[ends], np.cumsum(self.others[order])[ends]
        firsts = np.concatenate([[0], np.flatnonzero(video[ends][1:] != video[ends][:-1]) + 1])
        pairs = np.diff(others, prepend=0) * (np.concatenate([[0], anomalous[:-1]]) + anomalous)
        lasts = np.append(firsts[1:], len(ends)) - 1
        hits, alarms = np.diff(anomalous[lasts], prepend=0), np.diff(others[lasts], prepend=0)
        earlier = anomalous[lasts] - hits  # counted in videos before
        doubled = np.add.reduceat(pairs, firsts) - 2 * alarms * earlier
        both = (hits > 0) & (alarms > 0)
        return np.asarray(doubled[both] / (2 * hits[both] * alarms[both]))


def runs(labels: Sequence[Labels], scores: Sequence[Floats]) -> VideoRankings:
    """Count the frames of the videos, one array of shape (frames,) each."""
    y, s = np.concatenate(labels), np.concatenate(scores)
    borders = np.cumsum([0, *map(len, labels)])
    begins = np.ones(len(y), dtype=np.bool_)
    np.not_equal(s[1:], s[:-1], out=begins[1:])
    begins[1:] |= y[1:] != y[:-1]
    begins[borders[borders < len(y)]] = True
    starts = np.flatnonzero(begins)
    video = np.arange(len(labels), dtype=np.min_scalar_type(len(labels)))
    videos = np.repeat(video, np.diff(np.searchsorted(starts, borders)))
    order = np.argsort(-s[starts], kind="stable")  # quickest where scores rise and fall slowly, as they do in time
    counts, kinds = np.diff(starts, append=len(y))[order], y[starts][order]
    return VideoRankings(s[starts][order], counts * kinds, counts * ~kinds, videos[order])


def ranking(labels: Labels, scores: Floats) -> Ranking | None:
    """Rank frames, both of shape (frames,); None where all are of one kind."""
    return runs([labels], [scores]).ranking()


def roc_auc(labels: Labels, scores: Floats) -> float:
    """ROC AUC over frames, both of shape (frames,); NaN where all are of one kind."""
    found = ranking(labels, scores)
    return float("nan") if found is None else found.roc_auc()
