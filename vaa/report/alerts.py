"""Suspicious intervals: where a video's scores are high, for how long, and what was said there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.evaluation.protocol import Protocol
from vaa.report import files
from vaa.types import Floats, Report


@dataclass(frozen=True)
class Alert:
    """An interval [start, stop) of a video's frames, its scores, and what was said where they are highest (`peak`)."""

    video: str
    start: int
    stop: int
    peak: int
    fps: float
    highest: float
    mean: float
    what: str
    tags: str

    def times(self) -> tuple[str, str]:
        """From and to, as h:mm:ss."""
        return clock(self.start / self.fps), clock(self.stop / self.fps)


@dataclass(frozen=True)
class Alerts:
    """Intervals whose scores are at least `threshold`, a plain choice that nothing has tuned.

    Those less than `gap` seconds apart are one; what is then shorter than `shortest` seconds is dropped.
    """

    threshold: float
    gap: float
    shortest: float

    def __post_init__(self) -> None:
        if not isfinite(self.threshold) or not self.gap >= 0 or not self.shortest >= 0:
            raise VaaError(
                f"alerts: threshold={self.threshold} must be a number, gap={self.gap} and shortest={self.shortest} "
                "seconds, 0 or more."
            )

    def said(self) -> str:
        """What an alert is, for people."""
        return f"the score is at least {self.threshold:g} (alerts.threshold, a plain choice that is not tuned)"

    def write(self, folder: Path, reports: Iterable[Report], protocol: Protocol) -> list[Alert]:
        """Find the alerts of a run, the highest first, and write `alerts.json` and `alerts.csv` into its folder."""
        found = sorted(
            (alert for report in reports for alert in self.of(report, protocol)),
            key=lambda alert: (-alert.highest, alert.video, alert.start),
        )
        rows = [_row(alert) for alert in found]
        whole = {**asdict(self), "meaning": f"intervals where {self.said()}", "alerts": rows}
        text = json.dumps(whole, indent=2, ensure_ascii=False)
        files.put(folder / "alerts.json", f"{text}\n".encode())
        files.put(folder / "alerts.csv", _table(rows, self.threshold).encode())
        return found

    def of(self, report: Report, protocol: Protocol) -> Iterator[Alert]:
        """The alerts of one video, in time, by its scores as they are counted; none where it has no scores."""
        if report.track is None:
            return
        scores, fps = protocol.spread(report.video, report.track), report.video.fps or 25.0
        for start, stop in self.intervals(scores, fps):
            inside = scores[start:stop].astype(np.float64)
            peak = start + int(inside.argmax())
            what = said_in(report, start, stop, peak) or report.tags or report.summary
            high, mean = round(float(inside.max()), 6), round(float(inside.mean()), 6)
            yield Alert(report.video.id, start, stop, peak, fps, high, mean, what, report.tags)

    def intervals(self, scores: Floats, fps: float) -> list[tuple[int, int]]:
        """(start, stop) in frames, of scores of shape (frames,)."""
        edges = np.flatnonzero(np.diff(scores >= self.threshold, prepend=False, append=False)).reshape(-1, 2)
        merged: list[tuple[int, int]] = []
        for start, stop in edges.tolist():
            if merged and start - merged[-1][1] < self.gap * fps:
                start = merged.pop()[0]
            merged.append((start, stop))
        return [(start, stop) for start, stop in merged if stop - start >= self.shortest * fps]


def read(folder: Path) -> dict[str, Any] | None:
    """The content of a run's `alerts.json`; None where it has none."""
    file = folder / "alerts.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, those of a fraction left off."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def said_in(report: Report, start: int, stop: int, peak: int) -> str:
    """What was last said of the segment that scored highest in [start, stop), or is nearest to the peak of the scores.

    Its description, or else the words of the answer.
    """
    pairs = list(zip(report.segments, report.responses, strict=False))
    inside = [pair for pair in pairs if start <= pair[0].at < stop] or pairs  # nearest then
    if not inside:
        return ""
    _, response = max(inside, key=lambda pair: (_known(pair[1].score), -abs(pair[0].at - peak)))
    return (response.description or response.text).strip()


def _known(score: float) -> float:
    return score if isfinite(score) else -1.0


def _row(alert: Alert) -> dict[str, Any]:
    start, stop = alert.times()
    seconds = {f"{name}_seconds": round(getattr(alert, name) / alert.fps, 3) for name in ("start", "stop", "peak")}
    plain = {field.name: getattr(alert, field.name) for field in fields(alert)}
    return {"video": plain.pop("video"), "from": start, "to": stop, **seconds, **plain}


def _table(rows: Sequence[Mapping[str, Any]], threshold: float) -> str:
    """A row an alert, the threshold in each; a text that a spreadsheet would take for a formula is quoted."""
    names = ["video", "from", "to", "start_seconds", "stop_seconds", "highest", "mean", "what", "tags", "threshold"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_harmless({**row, "threshold": threshold}[name]) for name in names])
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
