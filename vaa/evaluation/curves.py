"""The curves of a run: ROC and precision-recall over the frames of all videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.evaluation.ranking import Labels, ranking
from vaa.types import Floats


@dataclass(frozen=True, eq=False)
class Curves:
    """Points of both curves; `false_alarms` with `hits`, `recall` with `precision`, each pair of one shape (n,)."""

    false_alarms: Floats
    hits: Floats
    recall: Floats
    precision: Floats


def curves(labels: Sequence[Labels], scores: Sequence[Floats]) -> Curves | None:
    """Over the frames of all videos, one array of shape (frames,) each; None where they are of one class only."""
    found = ranking(np.concatenate(labels), np.concatenate(scores)) if labels else None
    if found is None:
        return None
    hits = _from(0.0, found.hits)
    return Curves(_from(0.0, found.false_alarms), hits, hits, _from(1.0, found.precision))


def _from(first: float, points: Floats) -> Floats:
    return np.concatenate([[first], points])


def thin(x: Floats, y: Floats, most: int) -> tuple[Floats, Floats]:
    """At most `most` points of a curve with its ends, evenly spaced along it, so that steps keep their corners."""
    if len(x) <= most:
        return x, y
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], most)).clip(max=len(x) - 1))
    kept[-1] = len(x) - 1
    return x[kept], y[kept]
