"""Two runs beside each other, video by video: where they disagree most comes first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.compare.formats import Cell, Sheet
from vaa.compare.strip import strip
from vaa.errors import VaaError
from vaa.evaluation.detection import Labels, within_video_auc
from vaa.report.runs import Run
from vaa.types import Floats

_SPAN = 0.5  # of the greatest disagreement: how much there has to be of it to belong to the same stretch
_NUMBERS = ("mean_difference", "auc_a", "auc_b", "auc_delta", "max_a", "max_b", "from", "to", "greatest_difference")


@dataclass(frozen=True, eq=False)
class Pair:
    """A video in two runs: its scores, shape (frames,), and its labels as the first run counts them, if it has any.

    `apart` is the mean absolute difference of the scores, `most` the stretch of frames [from, to) round the greatest.
    """

    video: str
    a: Floats
    b: Floats
    labels: Labels | None
    apart: float
    most: tuple[int, int]
    aucs: tuple[float, float]


def pairs(first: Run, second: Run) -> tuple[list[Pair], int]:
    """The videos that both runs scored, the most different first; how many only one of them did.

    Raises:
        VaaError: they share no video, or a video's length differs.
    """
    ids = [set(run.videos) for run in (first, second)]
    shared = [video for video in first.videos if video in ids[1]]
    found = [pair for video in shared if (pair := _pair(first, second, video)) is not None]
    if not found:
        raise VaaError(f"{first.folder} and {second.folder}: no video has scores in both of them.")
    return sorted(found, key=lambda pair: (-pair.apart, pair.video)), len(ids[0] | ids[1]) - len(found)


def sheet(first: Run, second: Run, names: Sequence[str], most: int, digits: int) -> Sheet:
    """The first `most` of them as a table; a page shows both tracks with the labels beneath."""
    found, left_out = pairs(first, second)
    a, b = names
    rows, plain = [], []
    for pair in found[:most]:
        numbers = _numbers(pair)
        said = [_said(number, digits, "+" if name == "auc_delta" else "") for name, number in numbers.items()]
        picture = Cell(pair.video, picture=strip(pair.a, pair.b, pair.labels))
        rows.append((picture, *(Cell(text) for text in (*said[:6], f"{said[6]}-{said[7]}", said[8]))))
        plain.append((pair.video, *(None if math.isnan(number) else number for number in numbers.values())))
    header = ("video", "mean |Δ|", f"AUC {a}", f"AUC {b}", "Δ AUC", f"max {a}", f"max {b}", "frames", "max |Δ|")
    notes = [
        f"{len(rows)} of {len(found)} videos, those first whose scores differ most on average over the frames; "
        f"Δ AUC: {b} less {a}, within the video, '-' without labels of both kinds.",
        f"frames: where they differ most; the stretch round the greatest difference that keeps {_SPAN:.0%} of it.",
    ]
    notes += [f"Left out: {left_out} videos that only one run has scores of."] if left_out else []
    notes += (
        ["The runs are counted by different protocols; the labels shown are the first one's."]
        if _differ(first, second)
        else []
    )
    numeric = (False, *(True for _ in header[1:]))
    return Sheet(f"{a} and {b}", header, numeric, tuple(rows), tuple(notes), (("video", *_NUMBERS), *plain), (a, b))


def _pair(first: Run, second: Run, video: str) -> Pair | None:
    a, b = first.scores(video), second.scores(video)
    if a is None or b is None:
        return None
    if len(a) != len(b):
        raise VaaError(
            f"{video}: {len(a)} frames in {first.folder}, {len(b)} in {second.folder}: not the same video, or not "
            "the same annotation. Compare runs over the same data."
        )
    gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    labels = first.labels(video), second.labels(video)
    aucs = [math.nan if y is None else within_video_auc([y], [s]) for y, s in zip(labels, (a, b), strict=True)]
    return Pair(video, a, b, labels[0], float(gap.mean()), _most(gap), (aucs[0], aucs[1]))


def _most(gap: Floats) -> tuple[int, int]:
    peak = int(gap.argmax())
    low = np.flatnonzero(gap < _SPAN * gap[peak])
    start, stop = np.searchsorted(low, peak) - 1, np.searchsorted(low, peak)
    return int(low[start]) + 1 if start >= 0 else 0, int(low[stop]) if stop < len(low) else len(gap)


def _numbers(pair: Pair) -> dict[str, float]:
    gap = np.abs(pair.a.astype(np.float64) - pair.b.astype(np.float64))
    (a, b), (start, stop) = pair.aucs, pair.most
    each = (pair.apart, a, b, b - a, float(pair.a.max()), float(pair.b.max()), start, stop, float(gap.max()))
    return dict(zip(_NUMBERS, each, strict=True))


def _said(number: float, digits: int, sign: str) -> str:
    if math.isnan(number):
        return "-"
    return str(number) if isinstance(number, int) else f"{number:{sign}.{digits}f}"


def _differ(first: Run, second: Run) -> bool:
    return bool(first.truth["protocol"] != second.truth["protocol"])
