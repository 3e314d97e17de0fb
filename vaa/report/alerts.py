"""Alerts: intervals in which a video's scores are high, and the text of the segment there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from vaa.errors import require_at_least, require_share
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.protocol import Protocol, intervals
from vaa.report import files
from vaa.types import Floats, Report, Video


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An interval [start, stop) of a video's frames, its scores, and the text where they are highest (`peak`)."""

    video: str
    start: int
    stop: int
    peak: int
    start_seconds: float
    stop_seconds: float
    peak_seconds: float
    fps: float
    highest: float
    mean: float
    text: str
    tags: str

    def times(self) -> tuple[str, str]:
        """Start and end as h:mm:ss."""
        return clock(self.start_seconds), clock(self.stop_seconds)


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """An alert is an interval in which all scores are at least `threshold`, which is not tuned.

    Intervals less than `gap` seconds apart are merged, a pause of the recording separates as low scores do; those
    shorter than `shortest` seconds are dropped then.
    """

    threshold: float
    gap: float
    shortest: float

    def __post_init__(self) -> None:
        require_share(threshold=self.threshold)
        require_at_least(0, gap=self.gap, shortest=self.shortest)

    @property
    def description(self) -> str:
        """The rule in a few words."""
        return f"threshold {self.threshold:g}, not tuned"

    def write(self, folder: Path, evaluation: Evaluation) -> list[Alert]:
        """Find the alerts of a run, the highest first, and write `alerts.json` and `alerts.csv` into its folder."""
        alerts = sorted(
            (alert for report in evaluation.reports.values() for alert in self.find(report, evaluation.protocol)),
            key=lambda alert: (-alert.highest, alert.video, alert.start),
        )
        rows = [_row(alert) for alert in alerts]
        content = {**asdict(self), "description": self.description, "alerts": rows}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        files.write_bytes(folder / "alerts.json", f"{text}\n".encode())
        files.write_bytes(folder / "alerts.csv", _csv(rows, self.threshold).encode())
        return alerts

    def find(self, report: Report, protocol: Protocol) -> Iterator[Alert]:
        """The alerts of one video in temporal order, by its scores under the protocol; none without scores."""
        if report.track is None:
            return
        video, scores = report.video, protocol.expand(report.video, report.track)
        for start, stop in self.intervals(scores, video):
            inside = scores[start:stop].astype(np.float64)
            peak = start + int(inside.argmax())
            yield Alert(
                video=video.id,
                start=start,
                stop=stop,
                peak=peak,
                start_seconds=video.seconds(start),
                stop_seconds=video.end(stop),
                peak_seconds=video.seconds(peak),
                fps=video.fps or 25.0,
                highest=round(float(inside.max()), 6),
                mean=round(float(inside.mean()), 6),
                text=text_in(report, start, stop, peak) or report.tags or report.summary,
                tags=report.tags,
            )

    def intervals(self, scores: Floats, video: Video) -> list[tuple[int, int]]:
        """(start, stop) in frames, of scores of shape (frames,)."""
        merged: list[tuple[int, int]] = []
        for start, stop in _split(intervals(scores >= self.threshold), video.times.pauses if video.times else ()):
            if merged and _length(video.end(merged[-1][1]), video.seconds(start)) < self.gap:
                start = merged.pop()[0]
            merged.append((start, stop))
        return [(a, b) for a, b in merged if _length(video.seconds(a), video.end(b)) >= self.shortest]


def _split(intervals_: Sequence[tuple[int, int]], frames: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The intervals, cut before each of the `frames` that is inside one."""
    for start, stop in intervals_:
        edges = [start, *(frame for frame in frames if start < frame < stop), stop]
        yield from pairwise(edges)


def _length(start: float, stop: float) -> float:
    """The seconds between two times, without the last digits, in which equal lengths differ."""
    return round(stop - start, 6)


def read_alerts(folder: Path) -> dict[str, Any] | None:
    """The content of a run's `alerts.json`; None where there is none."""
    file = folder / "alerts.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def clock(seconds: float) -> str:
    """Whole seconds as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def text_in(report: Report, start: int, stop: int, peak: int) -> str:
    """The text of the segment in [start, stop) with the highest response score; of equals, the nearest to the peak.

    Where no segment is `at` a frame in the interval, all segments are considered.
    """
    pairs = list(zip(report.segments, report.responses, strict=False))
    candidates = [pair for pair in pairs if start <= pair[0].at < stop] or pairs
    if not candidates:
        return ""
    _, response = max(candidates, key=lambda pair: (_finite(pair[1].score), -abs(pair[0].at - peak)))
    return response.description_or_text.strip()


def _finite(score: float) -> float:
    return score if isfinite(score) else -1.0


def _row(alert: Alert) -> dict[str, Any]:
    start, stop = alert.times()
    values = {field.name: getattr(alert, field.name) for field in fields(alert)}
    seconds = {name: round(values.pop(name), 3) for name in ("start_seconds", "stop_seconds", "peak_seconds")}
    return {"video": values.pop("video"), "from": start, "to": stop, **seconds, **values}


def _csv(rows: Sequence[Mapping[str, Any]], threshold: float) -> str:
    """A row per alert, the threshold in each; a text that a spreadsheet would run as a formula is quoted."""
    names = ["video", "from", "to", "start_seconds", "stop_seconds", "highest", "mean", "text", "tags", "threshold"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_quoted({**row, "threshold": threshold}[name]) for name in names])
    return text.getvalue()


def _quoted(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
