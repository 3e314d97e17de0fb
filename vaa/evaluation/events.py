"""Alerts against annotated events: events hit, false alerts, delays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from vaa.evaluation.alert_intervals import Interval, recorded_seconds
from vaa.evaluation.protocol import intervals
from vaa.evaluation.roc import Labels
from vaa.types import Video


@dataclass(frozen=True, kw_only=True)
class VideoEvents:
    """The events of one video against its alerts.

    `delays`: seconds from the start of each event that is hit to the start of its first alert; 0 where the alert
    starts before. `seconds`: the length of the video, pauses of the recording excluded.
    """

    events: int
    delays: tuple[float, ...]
    alerts: int
    false_alerts: int
    seconds: float


def is_hit(alert: Interval, labels: Labels) -> bool:
    """Whether an alert overlaps an event; `labels` has shape (frames,)."""
    return bool(labels[slice(*alert)].any())


def video_events(video: Video, labels: Labels, alerts: Sequence[Interval]) -> VideoEvents:
    """Compare alerts with labels of shape (frames,).

    An event is an interval of frames that are labelled anomalous: annotated intervals that overlap or touch are one. It
    is hit if an alert overlaps it; an alert that overlaps none is false.
    """
    events = intervals(labels)
    delays = []
    for start, stop in events:
        first = min((alert[0] for alert in alerts if alert[0] < stop and alert[1] > start), default=None)
        if first is not None:
            delays.append(max(0.0, video.seconds(first) - video.seconds(start)))
    return VideoEvents(
        events=len(events),
        delays=tuple(delays),
        alerts=len(alerts),
        false_alerts=sum(not is_hit(alert, labels) for alert in alerts),
        seconds=recorded_seconds(video),
    )


def event_metrics(
    videos: Iterable[Video], labels: Mapping[str, Labels], alerts: Mapping[str, Sequence[Interval]]
) -> dict[str, float]:
    """The numbers of `metrics.json` about events, over `videos`, which all have labels; empty without a video.

    `alerts`: by video. `false_alerts_per_hour` is NaN for videos without a frame, `median_delay_s` where no event is
    hit.
    """
    results = [video_events(video, labels[video.id], alerts.get(video.id, ())) for video in videos]
    if not results:
        return {}
    delays = [delay for result in results for delay in result.delays]
    false_alerts, hours = sum(result.false_alerts for result in results), sum(r.seconds for r in results) / 3600
    return {
        "events": sum(result.events for result in results),
        "events_hit": len(delays),
        "alerts": sum(result.alerts for result in results),
        "false_alerts": false_alerts,
        "false_alerts_per_hour": false_alerts / hours if hours else math.nan,
        "median_delay_s": round(median(delays), 4) if delays else math.nan,
    }
