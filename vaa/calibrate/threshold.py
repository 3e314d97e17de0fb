"""The lowest threshold of alerts within a budget of alerts per hour, and how uncertain it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from vaa.evaluation import bootstrap
from vaa.evaluation.alert_intervals import recorded_seconds
from vaa.evaluation.bootstrap import Numbers
from vaa.report.alerts import AlertRule
from vaa.types import Floats, Video

_DECIMALS = 4
_CANDIDATES = 500


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """A video without events, and the scores of shape (frames,) that the alert rule is about."""

    video: Video
    scores: Floats


@dataclass(frozen=True, eq=False)
class AlertCounts:
    """The alerts of each video at each threshold.

    `thresholds`: shape (n,), ascending; `alerts`: shape (n, videos); `hours`: shape (videos,), without pauses.
    """

    thresholds: Numbers
    alerts: Numbers
    hours: Numbers

    @property
    def total_hours(self) -> float:
        """The hours of all videos."""
        return float(self.hours.sum())

    def alerts_at(self, threshold: float) -> int:
        """The number of alerts of all videos at one of the thresholds."""
        return int(self.alerts[np.flatnonzero(self.thresholds == threshold)[0]].sum())

    def lowest(self, per_hour: float, weights: Numbers | None = None) -> Numbers:
        """The lowest threshold from which on, upwards, no more than `per_hour` alerts are raised; NaN if there is none.

        `weights`: shape (times, videos), how often each resample has each video; the result has shape (times,). The
        videos themselves by default. The number of alerts is not monotone: a very low threshold makes one long alert.
        """
        weights = np.ones((1, len(self.hours))) if weights is None else weights
        allowed = per_hour * (weights @ self.hours)
        within = (weights @ self.alerts.T) <= allowed[:, None] + 1e-9
        all_above = np.logical_and.accumulate(within[:, ::-1], axis=1)[:, ::-1]
        return np.where(all_above.any(axis=1), self.thresholds[all_above.argmax(axis=1)], np.nan)


def at_threshold(rule: AlertRule, threshold: float) -> AlertRule:
    """The rule with another threshold; `end` is lowered to it where it would be above."""
    return replace(rule, threshold=threshold, end=None if rule.end is None else min(rule.end, threshold))


def count_alerts(rule: AlertRule, footage: Sequence[ScoredVideo]) -> AlertCounts:
    """Count the alerts of the rule at the candidate thresholds."""
    thresholds = candidate_thresholds([each.scores for each in footage])
    alerts = np.zeros((len(thresholds), len(footage)))
    for k, threshold in enumerate(thresholds.tolist()):
        rule_there = at_threshold(rule, threshold)
        alerts[k] = [len(rule_there.intervals(each.scores, each.video)) for each in footage]
    hours = np.array([recorded_seconds(each.video) / 3600 for each in footage])
    return AlertCounts(thresholds, alerts, hours)


def candidate_thresholds(scores: Sequence[Floats]) -> Numbers:
    """Thresholds with four decimals, ascending: the lowest one above each score, at most 1.

    Of more than 500, those above the highest scores are all taken, and of the others fewer the lower they are.
    """
    values = np.concatenate([np.asarray(each, dtype=np.float64) for each in scores])
    values = np.sort(values[np.isfinite(values)])[::-1]
    if not len(values):
        return np.ones(1)
    ranks = np.unique(np.geomspace(1, len(values), _CANDIDATES).round().astype(np.int64)) - 1
    distinct = np.unique(values)
    chosen = distinct if len(distinct) <= _CANDIDATES else values[ranks]
    scale = 10**_DECIMALS
    above = (np.floor(np.round(chosen * scale, 6)) + 1) / scale
    return np.unique(np.append(above[above <= 1], 1.0))


def rate_interval(alerts: int, hours: float) -> tuple[float, float]:
    """The exact 95 % Poisson interval of a rate per hour (Garwood, 1936)."""
    low = float(chi2.ppf(0.025, 2 * alerts)) / 2 / hours if alerts else 0.0
    return low, float(chi2.ppf(0.975, 2 * alerts + 2)) / 2 / hours


def threshold_interval(counts: AlertCounts, per_hour: float, times: int, seed: int) -> bootstrap.Interval | None:
    """The 95 % bootstrap interval of the threshold over the videos; None for a single one."""
    if len(counts.hours) < 2:
        return None
    return bootstrap.interval(counts.lowest(per_hour, bootstrap.resamples(len(counts.hours), times, seed)))
