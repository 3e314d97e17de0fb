"""Select settings on some videos, for others: folds, a split into two parts, and the best setting of each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaa.errors import ConfigError
from vaa.evaluation.bootstrap import Numbers
from vaa.tune.settings import Setting
from vaa.tune.tunable_run import TunableRun


@dataclass(frozen=True)
class SelectionRule:
    """The highest mean of `metrics` on one in `every` frames, of equals the first."""

    metrics: tuple[str, ...]
    every: int


@dataclass(frozen=True, eq=False)
class Trials:
    """The mean metric of every setting, shape (settings, 1 + folds): over all videos, then without each fold."""

    settings: tuple[Setting, ...]
    values: Numbers

    def best(self, column: int) -> Setting:
        """The best setting over all videos (0), or without a fold (from 1)."""
        values = np.where(np.isnan(self.values[:, column]), -np.inf, self.values[:, column])
        return self.settings[int(np.argmax(values))]


def try_settings(run: TunableRun, settings: Sequence[Setting], folds: Numbers, rule: SelectionRule) -> Trials:
    """Measure every setting over all videos and over those outside each fold; `folds`: shape (folds, videos)."""
    values = []
    for setting in settings:
        measures = run.measure(dict.fromkeys(run.videos, setting), 1 - folds, rule.metrics, rule.every)
        values.append(np.mean([[measures[name].value, *measures[name].resampled] for name in rule.metrics], axis=0))
    return Trials(tuple(settings), np.array(values))


def make_folds(run: TunableRun, count: int, seed: int) -> Numbers:
    """Shape (count, videos): 1 where a fold has the video. Anomalous and normal videos are spread evenly.

    Raises:
        ConfigError: `count` is below 2 or above the number of videos, or fewer than two videos are anomalous.
    """
    anomalous = np.array([run.labels[video].any() for video in run.videos])
    if not 2 <= count <= len(anomalous) or anomalous.sum() < 2:
        raise ConfigError(
            f"--folds {count}: {run.run.folder} has {len(anomalous)} videos with labels, {int(anomalous.sum())} of "
            "them anomalous. Use at least 2 folds, at most one per video, and at least two anomalous videos."
        )
    folds, rng, next_fold = np.zeros((count, len(anomalous))), np.random.default_rng(seed), 0
    for kind in (True, False):
        for index in rng.permutation(np.flatnonzero(anomalous == kind)):
            folds[next_fold % count, index] = 1
            next_fold += 1
    return folds


def no_folds(run: TunableRun) -> Numbers:
    """Shape (0, videos)."""
    return np.zeros((0, len(run.videos)))


def split_fold(run: TunableRun, names: Collection[str]) -> Numbers:
    """Shape (1, videos): the one fold has the videos that are NOT named; settings are selected on the named ones.

    Raises:
        ConfigError: a name is no video of the run, or one of the parts is empty.
    """
    unknown = sorted(set(names) - set(run.videos))
    if unknown:
        raise ConfigError(
            f"--split: {len(unknown)} names are not videos with labels in {run.run.folder}: {unknown[0]}."
        )
    fold = np.array([[float(video not in set(names)) for video in run.videos]])
    if not 0 < fold.sum() < fold.size:
        raise ConfigError(f"--split: names {len(set(names))} of {fold.size} videos; both parts need a video.")
    return fold


def nested_settings(run: TunableRun, trials: Trials, folds: Numbers) -> dict[str, Setting]:
    """Video -> the setting that is best without its fold."""
    column = {video: 1 + int(np.argmax(folds[:, k])) for k, video in enumerate(run.videos)}
    return {video: trials.best(column[video]) for video in run.videos}


def setting_counts(settings: Mapping[str, Setting]) -> list[tuple[Setting, int]]:
    """Each setting with the number of its videos, the most frequent first."""
    return Counter(settings.values()).most_common()
