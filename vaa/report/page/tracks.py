"""Scores as the page draws them: a few hundred steps instead of a value a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vaa.evaluation.detection import Labels
from vaa.types import Floats

_FINENESS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_MOST = 1500
_SPARK = 80


def steps(track: Mapping[str, Any], n_frames: int) -> dict[str, Any]:
    """The frames `at` which a track of a report's file changes and the values `to` which, up to `stop`.

    Values are rounded to the finest step (0.001, at the coarsest 0.05) at which there are no more than 1,500 changes.
    """
    starts = np.array(track["starts"], dtype=np.int64)
    values = np.array(track["values"], dtype=np.float64)
    stop = n_frames if track["stop"] is None else min(n_frames, track["stop"])
    kept: list[int] = []
    for fineness in _FINENESS:
        known = np.isfinite(values)
        level = np.where(known, np.round(np.where(known, values, 0) / fineness), np.inf)
        kept = np.flatnonzero(np.concatenate([[True], level[1:] != level[:-1]])[: len(level)]).tolist()
        if len(kept) <= _MOST:
            break
    drawn = np.round(level[kept] * fineness, 3).tolist()
    to = [value if finite else None for value, finite in zip(drawn, known[kept].tolist(), strict=True)]
    return {"at": starts[kept].tolist(), "to": to, "stop": int(stop)}


def spark(scores: Floats) -> list[int]:
    """The highest score, in hundredths, of each of up to 80 equal parts of a video."""
    parts = min(_SPARK, len(scores))
    edges = np.linspace(0, len(scores), parts, endpoint=False).astype(int)
    highest = np.maximum.reduceat(scores.astype(np.float64), edges) if parts else np.array([])
    return [round(100 * float(value)) for value in np.clip(np.nan_to_num(highest), 0, 1)]


def spans(labels: Labels) -> list[list[int]]:
    """[start, stop) of the frames that are true."""
    edges: list[list[int]] = np.flatnonzero(np.diff(labels, prepend=False, append=False)).reshape(-1, 2).tolist()
    return edges
