"""Two runs video by video, those with the largest differences in their scores first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaa.compare.tables import Cell, Table, Value, csv_value, format_number
from vaa.errors import DataError
from vaa.evaluation.detection import within_video_auc
from vaa.evaluation.protocol import intervals
from vaa.evaluation.roc import Labels
from vaa.report.runs import Run
from vaa.types import Floats

_INTERVAL_LEVEL = 0.5  # of the largest difference; the interval around it is where the difference is at least this
_COLUMNS = ("mean_difference", "auc_a", "auc_b", "auc_delta", "max_a", "max_b", "from", "to", "max_difference")
_WIDTH, _HEIGHT, _LABEL_HEIGHT = 1000, 100, 8
_MAX_POINTS = 500  # of a curve; a longer one is drawn as the lowest and highest score of each of 250 columns


@dataclass(frozen=True, eq=False)
class VideoPair:
    """A video in two runs: its scores, shape (frames,), and its labels by the first run's protocol, if it has any.

    `mean_difference` is over the frames; `interval`, [start, stop) in frames, surrounds the largest difference.
    """

    video: str
    a: Floats
    b: Floats
    labels: Labels | None
    mean_difference: float
    interval: tuple[int, int]
    aucs: tuple[float, float]


def video_pairs(first: Run, second: Run) -> tuple[list[VideoPair], int]:
    """The videos that both runs scored, the largest mean difference first; and the number of the other videos.

    Raises:
        DataError: the runs share no video, or a video has another length in the second one.
    """
    ids = [set(run.videos) for run in (first, second)]
    shared = [video for video in first.videos if video in ids[1]]
    pairs = [pair for video in shared if (pair := _pair(first, second, video)) is not None]
    if not pairs:
        raise DataError(f"{first.folder} and {second.folder}: no video has scores in both of them.")
    return sorted(pairs, key=lambda pair: (-pair.mean_difference, pair.video)), len(ids[0] | ids[1]) - len(pairs)


def videos_table(first: Run, second: Run, names: Sequence[str], limit: int, digits: int) -> Table:
    """The first `limit` videos; in HTML with the curves of both runs above the labels."""
    pairs, left_out = video_pairs(first, second)
    a, b = names
    rows = []
    records: list[tuple[Value, ...]] = [("video", *_COLUMNS)]
    for pair in pairs[:limit]:
        numbers = _numbers(pair)
        texts = [format_number(value, digits, "+" if name == "auc_delta" else "") for name, value in numbers.items()]
        cells = (*texts[:6], f"{texts[6]}-{texts[7]}", texts[8])
        rows.append((Cell(pair.video, svg=draw_scores(pair.a, pair.b, pair.labels)), *map(Cell, cells)))
        records.append((pair.video, *map(csv_value, numbers.values())))
    header = ("video", "mean |Δ|", f"AUC {a}", f"AUC {b}", "Δ AUC", f"max {a}", f"max {b}", "frames", "max |Δ|")
    notes = [
        f"{len(rows)} of {len(pairs)} videos, sorted by the mean absolute difference of the scores. "
        f"Δ AUC: {b} minus {a}, within the video; '-' if its labels are of one class.",
        f"frames: the interval around the largest difference in which at least {_INTERVAL_LEVEL:.0%} of it remains.",
    ]
    if left_out:
        notes.append(f"Left out: {left_out} videos that only one run has scores of.")
    if first.truth["protocol"] != second.truth["protocol"]:
        notes.append("The runs are evaluated by different protocols; the labels shown are the first one's.")
    numeric = (False, *(True for _ in header[1:]))
    return Table(f"{a} and {b}", header, numeric, tuple(rows), tuple(notes), tuple(records), legend=(a, b))


def _pair(first: Run, second: Run, video: str) -> VideoPair | None:
    a, b = (run.evaluation.video_scores(video) for run in (first, second))
    if a is None or b is None:
        return None
    if len(a) != len(b):
        raise DataError(
            f"{video}: {len(a)} frames in {first.folder}, {len(b)} in {second.folder}: not the same video, or not "
            "the same annotation. Compare runs over the same data."
        )
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    labels = first.evaluation.labels.get(video), second.evaluation.labels.get(video)
    aucs = [math.nan if y is None else within_video_auc([y], [s]) for y, s in zip(labels, (a, b), strict=True)]
    return VideoPair(video, a, b, labels[0], float(difference.mean()), _interval(difference), (aucs[0], aucs[1]))


def _interval(difference: Floats) -> tuple[int, int]:
    peak = int(difference.argmax())
    low = np.flatnonzero(difference < _INTERVAL_LEVEL * difference[peak])
    before, after = np.searchsorted(low, peak) - 1, np.searchsorted(low, peak)
    return int(low[before]) + 1 if before >= 0 else 0, int(low[after]) if after < len(low) else len(difference)


def _numbers(pair: VideoPair) -> dict[str, float]:
    largest = float(np.abs(pair.a.astype(np.float64) - pair.b.astype(np.float64)).max())
    (a, b), (start, stop) = pair.aucs, pair.interval
    values = (pair.mean_difference, a, b, b - a, float(pair.a.max()), float(pair.b.max()), start, stop, largest)
    return dict(zip(_COLUMNS, values, strict=True))


def draw_scores(a: Floats, b: Floats, labels: Labels | None) -> str:
    """An SVG of two curves, shape (frames,), of class `a` and `b` above a strip of the labels, of class `true`."""
    low, high = min(0.0, float(a.min()), float(b.min())), max(1.0, float(a.max()), float(b.max()))
    curves = (f'<polyline class="{name}" points="{_points(y, low, high)}"/>' for name, y in (("a", a), ("b", b)))
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT + _LABEL_HEIGHT + 2}" preserveAspectRatio="none" role="img"'
    ground = f'<rect class="ground" y="{_HEIGHT + 2}" width="{_WIDTH}" height="{_LABEL_HEIGHT}"/>'
    return f"<svg {box}>{ground}{_label_rectangles(labels)}{''.join(curves)}</svg>"


def _label_rectangles(labels: Labels | None) -> str:
    if labels is None:
        return ""
    scale = _WIDTH / len(labels)
    edges = [(start * scale, stop * scale) for start, stop in intervals(labels)]
    size = f'y="{_HEIGHT + 2}" height="{_LABEL_HEIGHT}"'
    return "".join(f'<rect class="true" x="{x:.1f}" width="{max(1, end - x):.1f}" {size}/>' for x, end in edges)


def _points(scores: Floats, low: float, high: float) -> str:
    frames, values = np.arange(len(scores)), scores.astype(np.float64)
    if len(scores) > _MAX_POINTS:
        columns = np.array_split(frames, _MAX_POINTS // 2)
        extremes = [(part[values[part].argmin()], part[values[part].argmax()]) for part in columns]
        frames = np.array([frame for pair in extremes for frame in sorted(pair)])
    x = (frames + 0.5) * (_WIDTH / len(scores))
    y = _HEIGHT * (1 - (values[frames] - low) / (high - low))
    return " ".join(f"{h:.1f},{v:.1f}" for h, v in zip(x, y, strict=True))
