"""Alerts: intervals in which a video's scores are high, and the text of the segment there."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaa import process
from vaa.errors import ConfigError, VideoError, require_at_least, require_share
from vaa.evaluation.alert_intervals import Hysteresis, Interval, alert_intervals, extend
from vaa.evaluation.evaluation import Evaluation, peak_frame
from vaa.evaluation.events import is_hit
from vaa.report import files
from vaa.report.clips import write_clip, write_still
from vaa.types import Floats, Report, Video, file_name

log = logging.getLogger("vaa")
_MAX_STEM = 200  # bytes of a file's name


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An interval [start, stop) of a video's frames, its scores, and the text where they are highest.

    `peak`: the middle of the first frames with the highest score. `definition`: the name of the definition with the
    highest score in it, "" without definitions. `hit`: whether it overlaps an annotated event, None without labels.
    `still` and `clip`: paths in the run's folder, None without.
    """

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
    definition: str
    text: str
    tags: str
    hit: bool | None
    still: str | None = None
    clip: str | None = None

    def times(self) -> tuple[str, str]:
        """Start and end as h:mm:ss."""
        return clock(self.start_seconds), clock(self.stop_seconds)


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """An alert starts where a score is at least `threshold` and ends where one is below `end` (None: `threshold`).

    Alerts less than `gap` seconds apart are merged, a pause of the recording separates as low scores do; those shorter
    than `shortest` seconds are dropped then, the others extended by `padding` seconds on both sides. `scores`: those
    that are shown, after the last stage, or the `model`'s own, after the first stage that has some. `source`: where
    the threshold comes from; `calibrated_on`: the video files that it was chosen on, by absolute path.

    The `max_media` highest alerts get a still of the frame with the highest score (`stills`) and a clip from `pre_roll`
    seconds before to `post_roll` seconds after the alert (`clips`).

    Raises:
        ConfigError: a field is out of range, or `end` is above `threshold`.
    """

    threshold: float
    end: float | None
    gap: float
    shortest: float
    padding: float
    scores: Literal["shown", "model"]
    source: str
    calibrated_on: list[str]
    stills: bool
    clips: bool
    pre_roll: float
    post_roll: float
    max_media: int

    def __post_init__(self) -> None:
        require_share(threshold=self.threshold, end=self.hysteresis.end)
        require_at_least(0, gap=self.gap, shortest=self.shortest, padding=self.padding, max_media=self.max_media)
        require_at_least(0, pre_roll=self.pre_roll, post_roll=self.post_roll)
        if self.hysteresis.end > self.threshold:
            raise ConfigError(
                f"alerts.end={self.end}: an alert would end before it starts. Give at most "
                f"alerts.threshold={self.threshold}, or null."
            )

    @property
    def hysteresis(self) -> Hysteresis:
        """Where an alert starts and ends."""
        return Hysteresis(threshold=self.threshold, end=self.threshold if self.end is None else self.end)

    @property
    def description(self) -> str:
        """The rule in a few words."""
        end = "" if self.end is None else f", end {self.end:g}"
        return f"threshold {self.threshold:g}{end}{', model scores' if self.scores == 'model' else ''}, {self.source}"

    def notices(self, videos: Sequence[Video]) -> list[str]:
        """What a reader of the alerts of these videos needs to know about the threshold."""
        known = set(self.calibrated_on)
        n_known = sum(str(video.path.resolve()) in known for video in videos) if known else 0
        if not n_known:
            return []
        return [
            f"{n_known} of the {len(videos)} videos are the footage that alerts.threshold={self.threshold:g} was "
            "calibrated on: on them, the number of false alerts is not an estimate of that on new footage."
        ]

    def find_all(self, evaluation: Evaluation) -> list[Alert]:
        """The alerts of a run, the highest first."""
        return sorted(
            (alert for video in evaluation.reports for alert in self.find(evaluation, video)),
            key=lambda alert: (-alert.highest, alert.video, alert.start),
        )

    def write(self, folder: Path, alerts: Sequence[Alert]) -> None:
        """Write `alerts.json` and `alerts.csv` into a run's folder."""
        rows = [_row(alert) for alert in alerts]
        rule = {name: value for name, value in asdict(self).items() if name != "calibrated_on"}
        content = {**rule, "description": self.description, "alerts": rows}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        files.write_bytes(folder / "alerts.json", f"{text}\n".encode())
        files.write_bytes(folder / "alerts.csv", _csv(rows, self.threshold).encode())

    def write_media(
        self, folder: Path, alerts: Sequence[Alert], videos: Mapping[str, Video], decoder: str
    ) -> list[Alert]:
        """Write stills and clips of the first `max_media` alerts into `alerts/`; returns all alerts with their paths.

        `videos`: by id. An alert whose video cannot be decoded gets none; the log says how many these are.
        """
        names = _media_names(alerts)
        written, reason, failed = list(alerts), "", 0
        chosen = range(min(len(alerts), self.max_media)) if self.stills or self.clips else range(0)
        for k in sorted(chosen, key=lambda k: (alerts[k].video, alerts[k].start)):  # a video is opened once
            process.check_interrupted()
            alert, video = alerts[k], videos[alerts[k].video]
            interval = extend(video, (alert.start, alert.stop), before=self.pre_roll, after=self.post_roll)
            try:
                if self.stills:
                    write_still(folder / f"{names[k]}.jpg", video, alert.peak, decoder)
                    written[k] = replace(written[k], still=f"{names[k]}.jpg")
                if self.clips:
                    write_clip(folder / f"{names[k]}.mp4", video, interval, decoder)
                    written[k] = replace(written[k], clip=f"{names[k]}.mp4")
            except VideoError as error:
                failed, reason = failed + 1, reason or str(error)
        if failed:
            log.info("%d of %d alerts have no still or clip: %s", failed, len(chosen), reason)
        if chosen and len(chosen) < len(alerts):
            log.info("stills and clips of the %d highest alerts only (alerts.max_media)", len(chosen))
        return written

    def find(self, evaluation: Evaluation, video_id: str) -> Iterator[Alert]:
        """The alerts of one video in temporal order; none without scores."""
        report, scores = evaluation.reports[video_id], self.frame_scores(evaluation, video_id)
        if scores is None:
            return
        video, labels = report.video, evaluation.labels.get(video_id)
        by_definition = {each.name: evaluation.protocol.expand(video, each.track) for each in report.definition_tracks}
        for start, stop in self.intervals(scores, video):
            inside = scores[start:stop].astype(np.float64)
            peak = start + peak_frame(np.nan_to_num(inside, nan=-1.0))
            yield Alert(
                video=video.id,
                start=start,
                stop=stop,
                peak=peak,
                start_seconds=video.seconds(start),
                stop_seconds=video.end(stop),
                peak_seconds=video.seconds(peak),
                fps=video.fps or 25.0,
                highest=round(float(np.nanmax(inside)), 6),
                mean=round(float(np.nanmean(inside)), 6),
                definition=max(by_definition, key=lambda name: _highest(by_definition[name][start:stop]), default=""),
                text=text_in(report, start, stop, peak) or report.tags or report.summary,
                tags=report.tags,
                hit=None if labels is None else is_hit((start, stop), labels),
            )

    def frame_scores(self, evaluation: Evaluation, video_id: str) -> Floats | None:
        """The scores of shape (frames,) that the rule is about; None without any."""
        return alert_scores(evaluation, video_id, self.scores)

    def intervals(self, scores: Floats, video: Video) -> list[Interval]:
        """The alerts of a video by its scores, of shape (frames,)."""
        return alert_intervals(
            scores, video, self.hysteresis, gap=self.gap, shortest=self.shortest, padding=self.padding
        )


def alert_scores(evaluation: Evaluation, video_id: str, kind: Literal["shown", "model"]) -> Floats | None:
    """The scores of a video, shape (frames,), after the last stage or the model's own; None without any."""
    track = evaluation.reports[video_id].track
    if kind == "model":
        history = evaluation.history.get(video_id, {}).values()
        track = next((report.track for report in history if report.track is not None), track)
    return None if track is None else evaluation.protocol.expand(evaluation.reports[video_id].video, track)


def _media_names(alerts: Sequence[Alert]) -> list[str]:
    """`alerts/VIDEO_k` for the k-th alert of a video in temporal order; a long id is cut."""
    names, counts = [""] * len(alerts), Counter[str]()
    for k in sorted(range(len(alerts)), key=lambda k: (alerts[k].video, alerts[k].start)):
        stem = Path(file_name(alerts[k].video)).stem.encode()[:_MAX_STEM].decode(errors="ignore")
        counts[stem] += 1
        names[k] = f"alerts/{stem}_{counts[stem]}"
    return names


def by_video(alerts: Sequence[Alert]) -> dict[str, list[Interval]]:
    """The intervals of the alerts of each video that has some, in temporal order."""
    intervals: dict[str, list[Interval]] = {}
    for alert in sorted(alerts, key=lambda alert: alert.start):
        intervals.setdefault(alert.video, []).append((alert.start, alert.stop))
    return intervals


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


def _highest(scores: Floats) -> float:
    return float(np.nan_to_num(scores, nan=-1.0).max())


def _row(alert: Alert) -> dict[str, Any]:
    start, stop = alert.times()
    values = {field.name: getattr(alert, field.name) for field in fields(alert)}
    seconds = {name: round(values.pop(name), 3) for name in ("start_seconds", "stop_seconds", "peak_seconds")}
    return {"video": values.pop("video"), "from": start, "to": stop, **seconds, **values}


def _csv(rows: Sequence[Mapping[str, Any]], threshold: float) -> str:
    """A row per alert, the threshold in each; a text that a spreadsheet would run as a formula is quoted."""
    names = ["video", "from", "to", "start_seconds", "stop_seconds", "highest", "mean", "definition", "text", "tags"]
    names += ["hit", "still", "clip", "threshold"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_quoted({**row, "threshold": threshold}[name]) for name in names])
    return text.getvalue()


def _quoted(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
