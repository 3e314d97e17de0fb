"""The metrics of one run over a selection of videos, and over bootstrap resamples of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vaa.evaluation import bootstrap
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.detection import within_video_auc
from vaa.evaluation.localisation import localisation
from vaa.evaluation.metric_set import compute as compute_set
from vaa.evaluation.roc import Labels
from vaa.report.runs import Run
from vaa.types import Floats

FLAT = bootstrap.NAMES
RESAMPLED = (*FLAT, "within_video_auc", "tiou", "tiou_per_video")
"""Metrics that can be computed over any videos; of others only the value in the run's metrics.json is known."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric over the videos, and over each resample, shape (times,); empty if it cannot be resampled."""

    value: float
    resampled: Numbers


@dataclass(frozen=True, eq=False)
class RunScores:
    """The labels and scores of a run's videos, each of shape (frames,)."""

    run: Run
    labels: Mapping[str, Labels]
    scores: Mapping[str, Floats]

    @cached_property
    def videos(self) -> set[str]:
        """Videos that can be compared: with labels, and with scores if the run has any."""
        return set(self.labels) & (set(self.scores) or set(self.labels))

    def evaluation_key(self, videos: Sequence[str]) -> tuple[object, ...]:
        """Equal for runs whose numbers over these videos are computed by the same protocol from the same labels."""
        protocol = self.run.evaluation.protocol
        frames = b"".join(np.packbits(self.labels[v]).tobytes() + len(self.labels[v]).to_bytes(4) for v in videos)
        return protocol.name, protocol.precision, protocol.pad, protocol.smooth, protocol.transform, frames


def read_scores(run: Run) -> RunScores:
    """Read the labels and scores of a run.

    Raises:
        DataError: a file of the run is missing or damaged.
    """
    labels, count = run.evaluation.labels, run.evaluation.protocol.counted_scores
    scores = {video: count(values) for video in labels if (values := run.evaluation.video_scores(video)) is not None}
    return RunScores(run, labels, scores)


def metric_names(runs: Sequence[Run]) -> list[str]:
    """The names of the metrics that at least one run has."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def measure(data: RunScores, videos: Sequence[str], weights: Numbers, names: Sequence[str]) -> dict[str, Measure]:
    """Those of the metrics `names` that the run has, over the videos.

    `weights`, shape (times, videos), are the number of times that each resample contains each video.
    """
    weights = np.vstack([np.ones((1, len(videos))), weights])  # the first row is the videos themselves
    measures: dict[str, Measure] = {}
    for group, compute in ((FLAT, _flat), (("within_video_auc",), _within_video), (("tiou", "tiou_per_video"), _tiou)):
        wanted = [name for name in names if name in group and data.run.metrics.get(name) is not None]
        if wanted:
            values = compute(data, videos, weights)
            measures |= {name: Measure(float(values[name][0]), values[name][1:]) for name in wanted}
    measures |= _metric_sets(data, videos, weights, names)
    for name in names:
        value = data.run.metrics.get(name)
        if name not in RESAMPLED and name not in measures and value is not None:
            measures[name] = Measure(value, np.zeros(0))
    return measures


def _metric_sets(data: RunScores, videos: Sequence[str], weights: Numbers, names: Sequence[str]) -> dict[str, Measure]:
    """Those of the metrics that sets of the run's protocol compute."""
    if not set(names) - set(RESAMPLED) or not data.scores:
        return {}
    evaluation = data.run.evaluation
    counted = [evaluation.counted_video(video) for video in videos] if evaluation.protocol.metrics else []
    measures: dict[str, Measure] = {}
    for metric_set in evaluation.protocol.metrics.values():
        values = compute_set(metric_set, counted, weights)
        measures |= {name: Measure(float(v[0]), v[1:]) for name, v in values.items() if name in names}
    return measures


def _flat(data: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    counts = bootstrap.count_frames([data.labels[v] for v in videos], [data.scores[v] for v in videos])
    return bootstrap.flat(counts, weights)


def _within_video(data: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    aucs = np.array([within_video_auc([data.labels[v]], [data.scores[v]]) for v in videos])
    return {"within_video_auc": _mean(aucs, np.isfinite(aucs).astype(np.float64), weights)}


def _tiou(data: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    results = [_localisation(data.run, video) for video in videos]
    means = np.array([result["tiou"] for result in results])
    frames = np.array([result["annotated_frames"] for result in results], dtype=np.float64)
    return {"tiou": _mean(means, frames, weights), "tiou_per_video": _mean(means, np.sign(frames), weights)}


def _mean(values: Numbers, counts: Numbers, weights: Numbers) -> Numbers:
    return bootstrap.mean(np.where(counts > 0, values, 0) * counts, counts, weights)


def _localisation(run: Run, video: str) -> dict[str, float]:
    """The localisation metrics of the boxes of the last report."""
    evaluation = run.evaluation
    return localisation({video: evaluation.truths[video].boxes}, {video: evaluation.reports[video].boxes})
