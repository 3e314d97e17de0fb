"""Metric sets: further numbers of a protocol, each from what it measures in every video, weighted by video.

A protocol's yaml names them under `metrics`. Formulas, sources and traps of each: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.roc import Labels
from vaa.types import Floats, GroundTruth, Report

Addends = Sequence[float] | NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluatedVideo:
    """A video that is evaluated: its report, its ground truth, and labels and scores of shape (frames,)."""

    report: Report
    truth: GroundTruth
    labels: Labels
    scores: Floats

    @property
    def fps(self) -> float:
        """Frames per second; 25 where it is not known."""
        return self.report.video.fps or 25.0


@runtime_checkable
class MetricSet(Protocol):
    """Metrics that are computed from a measurement of each video, so that resamples of the videos are cheap."""

    def measure(self, video: EvaluatedVideo) -> Any:
        """What the metrics need of a video; None if it does not count."""

    def combine(self, measured: Sequence[Any], weights: Numbers) -> dict[str, Numbers]:
        """Name -> values of shape (times,): over the measured videos, weighted by `weights` of shape (times, videos).

        NaN where a metric is not defined; empty where no video has what it needs.
        """


def compute(metrics: MetricSet, videos: Sequence[EvaluatedVideo], weights: Numbers) -> dict[str, Numbers]:
    """The metrics over the videos, for each row of `weights`, shape (times, videos)."""
    measured = [metrics.measure(video) for video in videos]
    counted = [k for k, each in enumerate(measured) if each is not None]
    if not counted:
        return {}
    return metrics.combine([measured[k] for k in counted], weights[:, counted])


def compute_once(metrics: MetricSet, videos: Sequence[EvaluatedVideo]) -> dict[str, float]:
    """The metrics over the videos, each counted once."""
    return {name: float(values[0]) for name, values in compute(metrics, videos, np.ones((1, len(videos)))).items()}


def ratio(numerators: Addends, denominators: Addends, weights: Numbers) -> Numbers:
    """Shape (times,): the ratio of two sums over the videos; NaN where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((weights @ np.asarray(numerators, float)) / (weights @ np.asarray(denominators, float)))
