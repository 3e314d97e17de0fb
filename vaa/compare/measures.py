"""The metrics of one run over a selection of videos, and over bootstrap resamples of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vaa.errors import DataError
from vaa.evaluation import bootstrap
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.detection import Labels, within_video_auc
from vaa.evaluation.localisation import localisation
from vaa.report.runs import Run
from vaa.types import Box, Floats

FLAT = (*bootstrap.NAMES, "ap")
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
        protocol = self.run.truth["protocol"]
        frames = b"".join(np.packbits(self.labels[v]).tobytes() + len(self.labels[v]).to_bytes(4) for v in videos)
        return *(protocol[name] for name in ("name", "ap", "precision", "pad")), frames


def read_scores(run: Run) -> RunScores:
    """Read the labels and scores of a run.

    Raises:
        DataError: a file of the run is missing or damaged.
    """
    labels: dict[str, Labels] = {}
    scores: dict[str, Floats] = {}
    try:
        for video in run.truth["videos"]:
            video_labels, video_scores = run.labels(video), run.scores(video)
            if video_labels is not None:
                labels[video] = video_labels
            if video_scores is not None:
                scores[video] = video_scores
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{run.folder}: a report or truth.json is damaged ({error!r}). Run it again.") from error
    return RunScores(run, labels, scores)


def metric_names(runs: Sequence[Run]) -> list[str]:
    """The names of the metrics that at least one run has."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def measure(data: RunScores, videos: Sequence[str], weights: Numbers, names: Sequence[str]) -> dict[str, Measure]:
    """Those of the metrics `names` that the run has, over the videos.

    `weights`, shape (times, videos), are the number of times that each resample holds each video.
    """
    weights = np.vstack([np.ones((1, len(videos))), weights])  # the first row is the videos themselves
    measures: dict[str, Measure] = {}
    for group, compute in ((FLAT, _flat), (("within_video_auc",), _within_video), (("tiou", "tiou_per_video"), _tiou)):
        wanted = [name for name in names if name in group and data.run.metrics.get(name) is not None]
        if wanted:
            values = compute(data, videos, weights)
            measures |= {name: Measure(float(values[name][0]), values[name][1:]) for name in wanted}
    for name in names:
        value = data.run.metrics.get(name)
        if name not in RESAMPLED and value is not None:
            measures[name] = Measure(value, np.zeros(0))
    return measures


def _flat(data: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    ranking = bootstrap.ranking([data.labels[v] for v in videos], [data.scores[v] for v in videos])
    values = bootstrap.flat(ranking, weights)
    return values | {"ap": values[data.run.truth["protocol"]["ap"]]}


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
    """The localisation metrics of the boxes that the last stage with boxes left."""
    truth = [Box(int(frame), (a, b, c, d), 1.0) for frame, a, b, c, d in run.truth["videos"][video]["boxes"]]
    stages = [changed["boxes"] for changed in run.report(video)["stages"].values() if "boxes" in changed]
    boxes = [Box(box["frame"], tuple(box["xyxy"]), box["score"]) for box in (stages[-1] if stages else [])]
    return localisation({video: truth}, {video: boxes})
