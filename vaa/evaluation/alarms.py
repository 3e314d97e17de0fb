"""Alarms: the false alarm rate on normal videos, delays of detection and false alarms per hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.event_rule import EventRule
from vaa.evaluation.metric_set import EvaluatedVideo, ratio
from vaa.evaluation.protocol import intervals


@dataclass(frozen=True, kw_only=True)
class FalseAlarmRate:
    """`false_alarm_rate`: the share of the frames of normal videos with a score above `threshold` (Sultani et al.).

    It means nothing for scores that nobody calibrated, so `score_lowest` and `score_highest` stand beside it.
    """

    threshold: float

    def measure(self, video: EvaluatedVideo) -> tuple[int, int, float, float]:
        """Frames above the threshold and all frames, of a normal video; the lowest and the highest score."""
        normal = not video.labels.any()
        above = int(np.count_nonzero(video.scores > self.threshold)) if normal else 0
        lowest, highest = (float(video.scores.min()), float(video.scores.max())) if len(video.scores) else (1.0, 0.0)
        return above, len(video.scores) if normal else 0, lowest, highest

    def combine(self, measured: Sequence[tuple[int, int, float, float]], weights: Numbers) -> dict[str, Numbers]:
        """Over the pooled frames."""
        above, frames, lowest, highest = (np.array(part, dtype=np.float64) for part in zip(*measured, strict=True))
        drawn = weights > 0
        return {
            "false_alarm_rate": ratio(above, frames, weights),
            "score_lowest": np.where(drawn, lowest, np.inf).min(axis=1),
            "score_highest": np.where(drawn, highest, -np.inf).max(axis=1),
        }


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Delays of the annotated events that are alarmed, the share of missed ones, false alarms per hour.

    The operating point is the threshold of `rule`: `delay_median_s`, `delay_mean_s`, `missed_share`,
    `false_alarms_per_hour`; the same at each of `thresholds`, as in `missed_share/0.3`, is the curve. A delay is the
    time from the first frame of an event to its first alarmed frame. A false alarm is a run of alarmed frames that
    touches no event, per hour of frames outside events. Our definition: no common one was found.
    """

    rule: EventRule
    thresholds: Sequence[float]

    def measure(self, video: EvaluatedVideo) -> list[tuple[list[float], int, int, float]]:
        """At each threshold: the delays, the events, the false alarms, and the hours outside events."""
        rules = (self.rule, *(replace(self.rule, threshold=threshold) for threshold in self.thresholds))
        return [_alarms(video, rule) for rule in rules]

    def combine(
        self, measured: Sequence[list[tuple[list[float], int, int, float]]], weights: Numbers
    ) -> dict[str, Numbers]:
        """Over all videos."""
        metrics: dict[str, Numbers] = {}
        for k, suffix in enumerate(["", *(f"/{threshold:g}" for threshold in self.thresholds)]):
            delays, events, alarms, hours = zip(*(each[k] for each in measured), strict=True)
            hits = [len(each) for each in delays]
            metrics |= {
                f"delay_median_s{suffix}": _medians(delays, weights),
                f"delay_mean_s{suffix}": ratio([sum(each) for each in delays], hits, weights),
                f"missed_share{suffix}": ratio(np.subtract(events, hits), events, weights),
                f"false_alarms_per_hour{suffix}": ratio(alarms, hours, weights),
            }
        return metrics


def _alarms(video: EvaluatedVideo, rule: EventRule) -> tuple[list[float], int, int, float]:
    alarmed, events, about = rule.frames(video.scores), intervals(video.labels), video.report.video
    delays = []
    for start, stop in events:
        first = int(np.argmax(alarmed[start:stop]))
        if alarmed[start + first]:
            delays.append(about.seconds(start + first) - about.seconds(start))
    false_alarms = sum(not video.labels[start:stop].any() for start, stop in intervals(alarmed))
    return delays, len(events), false_alarms, np.count_nonzero(~video.labels) / video.fps / 3600


def _medians(delays: Sequence[Sequence[float]], weights: Numbers) -> Numbers:
    values = np.array([delay for each in delays for delay in each])
    times = weights[:, np.repeat(np.arange(len(delays)), [len(each) for each in delays])].astype(int)
    drawn = (np.repeat(values, row) for row in times)
    return np.array([np.median(each) if len(each) else np.nan for each in drawn])
