"""Two score tracks over the strip of labels, as a small drawing that a page holds."""

from __future__ import annotations

import numpy as np

from vaa.evaluation.detection import Labels
from vaa.types import Floats

_WIDTH, _HEIGHT, _STRIP = 1000, 100, 8
_MOST = 500  # points; beyond that each column of the drawing shows its lowest and highest score


def strip(a: Floats, b: Floats, labels: Labels | None) -> str:
    """Lines of class `a` and `b`, of shape (frames,), on one scale that holds 0 and 1; labels are of class `true`."""
    low, high = min(0.0, float(a.min()), float(b.min())), max(1.0, float(a.max()), float(b.max()))
    lines = [f'<polyline class="{name}" points="{_points(track, low, high)}"/>' for name, track in (("a", a), ("b", b))]
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT + _STRIP + 2}" preserveAspectRatio="none" role="img"'
    ground = f'<rect class="ground" y="{_HEIGHT + 2}" width="{_WIDTH}" height="{_STRIP}"/>'
    return f"<svg {box}>{ground}{_labels(labels)}{''.join(lines)}</svg>"


def _labels(labels: Labels | None) -> str:
    if labels is None:
        return ""
    edges = np.flatnonzero(np.diff(labels, prepend=False, append=False)).reshape(-1, 2) * (_WIDTH / len(labels))
    size = f'y="{_HEIGHT + 2}" height="{_STRIP}"'
    return "".join(f'<rect class="true" x="{x:.1f}" width="{max(1, end - x):.1f}" {size}/>' for x, end in edges)


def _points(track: Floats, low: float, high: float) -> str:
    frames, values = np.arange(len(track)), track.astype(np.float64)
    if len(track) > _MOST:
        columns = np.array_split(frames, _MOST // 2)
        ends = [(part[values[part].argmin()], part[values[part].argmax()]) for part in columns]
        frames = np.array([frame for pair in ends for frame in sorted(pair)])
    x = (frames + 0.5) * (_WIDTH / len(track))
    y = _HEIGHT * (1 - (values[frames] - low) / (high - low))
    return " ".join(f"{h:.1f},{v:.1f}" for h, v in zip(x, y, strict=True))
