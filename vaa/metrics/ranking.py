"""Scores ranked once: every curve and area is read from the counts at each distinct score."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def hits(self) -> Floats:
        """The true positive rate at each threshold, which is the recall."""
        return np.asarray(self.anomalous / self.anomalous[-1])

    @property
    def false_alarms(self) -> Floats:
        """The false positive rate at each threshold."""
        return np.asarray(self.others / self.others[-1])

    @property
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


def ranking(labels: Labels, scores: Floats) -> Ranking | None:
    """Rank frames, both of shape (frames,); None where all are of one kind.

    Neighbours of one score and one label are counted together first: scores in time are mostly constant for a while.
    """
    if not len(labels) or labels.all() or not labels.any():
        return None
    changes = np.flatnonzero((labels[1:] != labels[:-1]) | (scores[1:] != scores[:-1])) + 1
    starts = np.concatenate([[0], changes])
    counts, kinds = np.diff(starts, append=len(labels)), labels[starts]
    order = np.argsort(-scores[starts], kind="stable")
    held, counts, kinds = scores[starts][order], counts[order], kinds[order]
    last = np.flatnonzero(np.append(held[1:] != held[:-1], True))
    return Ranking(held[last], np.cumsum(counts * kinds)[last], np.cumsum(counts * ~kinds)[last])


def roc_auc(labels: Labels, scores: Floats) -> float:
    """ROC AUC over frames, both of shape (frames,); NaN where all are of one kind."""
    found = ranking(labels, scores)
    return float("nan") if found is None else found.roc_auc()
