"""Suspicious intervals: where a video's scores are high, for how long, and what was said there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

import numpy as np

from vaa.report import files
from vaa.report.runs import Run
from vaa.types import Floats, VaaError


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

    def write(self, run: Run) -> list[Alert]:
        """Find the alerts of a run, the highest first, and write them as `alerts.json` and `alerts.csv`."""
        found = sorted(
            (alert for video in run.videos for alert in self.of(run, video)),
            key=lambda alert: (-alert.highest, alert.video, alert.start),
        )
        rows = [_row(alert) for alert in found]
        whole = {**asdict(self), "meaning": f"intervals where {self.said()}", "alerts": rows}
        text = json.dumps(whole, indent=2, ensure_ascii=False)
        files.put(run.folder / "alerts.json", f"{text}\n".encode())
        files.put(run.folder / "alerts.csv", _table(rows, self.threshold).encode())
        return found

    def of(self, run: Run, video: str) -> Iterator[Alert]:
        """The alerts of one video, in time; none where it has no scores."""
        scores, report = run.scores(video), run.report(video)
        if scores is None:
            return
        fps, stages = report["video"]["fps"] or 25.0, report["stages"]
        for start, stop in self.intervals(scores, fps):
            inside = scores[start:stop].astype(np.float64)
            peak = start + int(inside.argmax())
            tags = last(stages, "tags") or ""
            what = said_in(stages, start, stop, peak) or tags or last(stages, "summary") or ""
            high, mean = round(float(inside.max()), 6), round(float(inside.mean()), 6)
            yield Alert(video, start, stop, peak, fps, high, mean, what, tags)

    def intervals(self, scores: Floats, fps: float) -> list[tuple[int, int]]:
        """(start, stop) in frames, of scores of shape (frames,)."""
        edges = np.flatnonzero(np.diff(scores >= self.threshold, prepend=False, append=False)).reshape(-1, 2)
        merged: list[tuple[int, int]] = []
        for start, stop in edges.tolist():
            if merged and start - merged[-1][1] < self.gap * fps:
                start = merged.pop()[0]
            merged.append((start, stop))
        return [(start, stop) for start, stop in merged if stop - start >= self.shortest * fps]


def read(run: Run) -> dict[str, Any] | None:
    """The content of a run's `alerts.json`; None where it has none."""
    file = run.folder / "alerts.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, those of a fraction left off."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def last(stages: Mapping[str, Mapping[str, Any]], field: str) -> Any:
    """What the last stage that changed this field of the report made of it; None if none did."""
    return next((changed[field] for changed in reversed(list(stages.values())) if field in changed), None)


def said_in(stages: Mapping[str, Mapping[str, Any]], start: int, stop: int, peak: int) -> str:
    """What was last said of the segment that scored highest in [start, stop), or is nearest to the peak of the scores.

    Its description, or else the words of the answer.
    """
    pairs = zip(last(stages, "segments") or [], last(stages, "responses") or [], strict=False)
    inside = [pair for pair in pairs if start <= pair[0]["at"] < stop]
    if not inside:  # nearest then
        inside = list(zip(last(stages, "segments") or [], last(stages, "responses") or [], strict=False))
    if not inside:
        return ""
    _, response = max(inside, key=lambda pair: (_known(pair[1]["score"]), -abs(pair[0]["at"] - peak)))
    return str(response["description"] or response["text"]).strip()


def _known(score: float | None) -> float:
    return -1.0 if score is None else score


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
