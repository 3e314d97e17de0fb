"""The metrics of one run over chosen videos, and over resamples of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vaa.errors import VaaError
from vaa.evaluation import bootstrap
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.detection import Labels, within_video_auc
from vaa.evaluation.localisation import localisation
from vaa.report.runs import Run
from vaa.types import Box, Floats

FLAT = (*bootstrap.NAMES, "ap")
RESAMPLED = (*FLAT, "within_video_auc", "tiou", "tiou_per_video")
"""Metrics that can be taken over any videos; others are only known as the run counted them."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric over the videos, and of each resample, shape (times,); empty where it cannot be resampled."""

    value: float
    resampled: Numbers


@dataclass(frozen=True, eq=False)
class RunScores:
    """A run with the labels and scores of its videos, read once."""

    run: Run
    labels: Mapping[str, Labels]
    scores: Mapping[str, Floats]

    @cached_property
    def videos(self) -> set[str]:
        """Those that can be compared: with labels, and with scores if the run has any."""
        return set(self.labels) & (set(self.scores) or set(self.labels))

    def counting(self, videos: Sequence[str]) -> tuple[object, ...]:
        """What has to be equal for numbers over these videos to have been counted the same way."""
        protocol = self.run.truth["protocol"]
        frames = b"".join(np.packbits(self.labels[v]).tobytes() + len(self.labels[v]).to_bytes(4) for v in videos)
        return *(protocol[name] for name in ("name", "ap", "precision", "pad")), frames


def read(run: Run) -> RunScores:
    """The run's labels and scores.

    Raises:
        VaaError: a file of the run is missing or damaged.
    """
    labels: dict[str, Labels] = {}
    scores: dict[str, Floats] = {}
    try:
        for video in run.truth["videos"]:
            known, found = run.labels(video), run.scores(video)
            if known is not None:
                labels[video] = known
            if found is not None:
                scores[video] = found
    except (KeyError, TypeError, ValueError) as error:
        raise VaaError(f"{run.folder}: a report or truth.json is damaged ({error!r}). Run it again.") from error
    return RunScores(run, labels, scores)


def known(runs: Sequence[Run]) -> list[str]:
    """The names of the metrics that at least one run has."""
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def measure(counted: RunScores, videos: Sequence[str], weights: Numbers, names: Sequence[str]) -> dict[str, Measure]:
    """The metrics of these names that the run has, over the videos; `weights` has shape (times, videos)."""
    all_once = np.vstack([np.ones((1, len(videos))), weights])
    found: dict[str, Measure] = {}
    for takes, how in ((FLAT, _flat), (("within_video_auc",), _within), (("tiou", "tiou_per_video"), _tiou)):
        wanted = [name for name in names if name in takes and counted.run.metrics.get(name) is not None]
        if wanted:
            values = how(counted, videos, all_once)
            found |= {name: Measure(float(values[name][0]), values[name][1:]) for name in wanted}
    for name in names:
        value = counted.run.metrics.get(name)
        if name not in RESAMPLED and value is not None:
            found[name] = Measure(value, np.zeros(0))
    return found


def _flat(counted: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    ranked = bootstrap.ranking([counted.labels[v] for v in videos], [counted.scores[v] for v in videos])
    values = bootstrap.flat(ranked, weights)
    return values | {"ap": values[counted.run.truth["protocol"]["ap"]]}


def _within(counted: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    aucs = np.array([within_video_auc([counted.labels[v]], [counted.scores[v]]) for v in videos])
    return {"within_video_auc": _mean(aucs, np.isfinite(aucs).astype(np.float64), weights)}


def _tiou(counted: RunScores, videos: Sequence[str], weights: Numbers) -> dict[str, Numbers]:
    found = [_boxes(counted.run, video) for video in videos]
    means = np.array([each["tiou"] for each in found])
    frames = np.array([each["annotated_frames"] for each in found], dtype=np.float64)
    return {"tiou": _mean(means, frames, weights), "tiou_per_video": _mean(means, np.sign(frames), weights)}


def _mean(values: Numbers, counts: Numbers, weights: Numbers) -> Numbers:
    return bootstrap.mean(np.where(counts > 0, values, 0) * counts, counts, weights)


def _boxes(run: Run, video: str) -> dict[str, float]:
    """How well the last boxes of this video fit."""
    truth = [Box(int(frame), (a, b, c, d), 1.0) for frame, a, b, c, d in run.truth["videos"][video]["boxes"]]
    stages = [changed["boxes"] for changed in run.report(video)["stages"].values() if "boxes" in changed]
    last = stages[-1] if stages else []
    boxes = [Box(box["frame"], tuple(box["xyxy"]), box["score"]) for box in last]
    return localisation({video: truth}, {video: boxes})
