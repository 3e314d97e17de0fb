"""A run's folder: metrics, failures, a score file and a report for each video."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from vaa.pipeline import Outcome
from vaa.types import Report, ScoreTrack


def write(folder: Path, outcome: Outcome, notices: Sequence[str]) -> None:
    """Write notices and failures, and for each video its scores and its report, into a run's folder."""
    _dump(folder / "notices.json", list(notices), indent=2)
    _dump(folder / "failures.json", [asdict(failure) for failure in outcome.failures], indent=2)
    for video, report in outcome.reports.items():
        name = file_name(video)
        if report.track is not None:
            _dump(folder / "scores" / name, scores(report.track, report.video.n_frames))
        _dump(folder / "reports" / name, _story(report, outcome.history[video]))


def write_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Write `metrics.json`: flat, numbers only, null where a number is not defined."""
    _dump(folder / "metrics.json", metrics, indent=2)


def file_name(video: str) -> str:
    """A video's id as the name of one file: separators of folders are escaped, everything usual is kept."""
    return quote(video, safe=" #=&+,;@!$()[]{}'~^") + ".json"


def scores(track: ScoreTrack, n_frames: int) -> dict[str, float]:
    """Frame -> score at the coarsest regular stride that loses nothing: what LAVAD's and URF's programs read."""
    frames = track.per_frame(n_frames)
    changes = np.flatnonzero(np.diff(frames.values)) + 1
    stride = int(np.gcd.reduce(changes)) if len(changes) else max(1, len(frames.values))
    return {
        str(int(start)): float(value)
        for start, value in zip(frames.starts[::stride], frames.values[::stride], strict=True)
    }


def _story(report: Report, history: Mapping[str, Report]) -> dict[str, Any]:
    """Everything known of a video: what it is, and what each stage changed."""
    video, before = report.video, Report(report.video)
    stages: dict[str, Any] = {}
    for name, after in history.items():
        stages[name] = {
            field: _plain(getattr(after, field))
            for field in ("segments", "responses", "track", "unread")
            if getattr(after, field) is not getattr(before, field)
        }
        before = after
    about = {"id": video.id, "path": str(video.path), "n_frames": video.n_frames, "fps": video.fps}
    return {"video": about, "stages": stages}


def _plain(value: Any) -> Any:
    if isinstance(value, ScoreTrack):
        kept = np.flatnonzero(np.diff(value.values, prepend=np.nan) != 0)
        return {"starts": value.starts[kept].tolist(), "values": value.values[kept].tolist()}
    if isinstance(value, tuple):
        return [asdict(item) for item in value]
    return value


def _dump(file: Path, value: Any, indent: int | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), indent=indent, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """NaN is no JSON: null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
