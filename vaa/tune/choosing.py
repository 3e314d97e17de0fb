"""Choose a setting on some videos and count it on others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaa.errors import VaaError
from vaa.evaluation.bootstrap import Numbers
from vaa.tune.grid import Setting
from vaa.tune.source import TuningSource


@dataclass(frozen=True)
class SelectionRule:
    """The best mean of the metrics `by` wins, the first of equals; counted on one in `every` frames."""

    by: tuple[str, ...]
    every: int


@dataclass(frozen=True, eq=False)
class Trials:
    """How every setting did: `values` of shape (settings, 1 + folds), over all videos, then over all but each fold."""

    settings: tuple[Setting, ...]
    values: Numbers

    def best(self, place: int) -> Setting:
        """The setting chosen over all videos (0), or without a fold (1 and on)."""
        column = np.where(np.isnan(self.values[:, place]), -np.inf, self.values[:, place])
        return self.settings[int(np.argmax(column))]


def folds(source: TuningSource, count: int, seed: int) -> Numbers:
    """Shape (count, videos): 1 where a fold holds the video; anomalous and normal videos are dealt out evenly.

    Raises:
        VaaError: there are too few of either for every training part to have both.
    """
    anomalous = np.array([source.labels[video].any() for video in source.videos])
    fewest = int(min(anomalous.sum(), (~anomalous).sum()))
    if not 2 <= count <= len(anomalous) or anomalous.sum() < 2:
        raise VaaError(
            f"--folds {count}: {source.run.folder} has {len(anomalous)} videos with labels, {int(anomalous.sum())} of "
            f"them anomalous ({fewest} of the rarer kind). Folds are 2 or more, no more than videos."
        )
    held, rng, next_fold = np.zeros((count, len(anomalous))), np.random.default_rng(seed), 0
    for kind in (True, False):
        for place in rng.permutation(np.flatnonzero(anomalous == kind)):
            held[next_fold % count, place] = 1
            next_fold += 1
    return held


def whole(source: TuningSource) -> Numbers:
    """Shape (0, videos): nothing is held out."""
    return np.zeros((0, len(source.videos)))


def tried(source: TuningSource, settings: Sequence[Setting], held: Numbers, rule: SelectionRule) -> Trials:
    """Count every setting over all videos and over the videos outside each fold; `held` has shape (folds, videos)."""
    values = []
    for setting in settings:
        found = source.measured(dict.fromkeys(source.videos, setting), 1 - held, rule.by, rule.every)
        values.append(np.mean([[found[name].value, *found[name].resampled] for name in rule.by], axis=0))
    return Trials(tuple(settings), np.array(values))


def nested(source: TuningSource, done: Trials, held: Numbers) -> dict[str, Setting]:
    """Video -> the setting that was chosen without its fold."""
    place = {video: 1 + int(np.argmax(held[:, k])) for k, video in enumerate(source.videos)}
    return {video: done.best(fold) for video, fold in place.items()}


def split(source: TuningSource, names: Collection[str]) -> Numbers:
    """Shape (1, videos): the one fold that holds what is NOT named, so that the choice falls on the named.

    Raises:
        VaaError: a name is no video of the run, or one side is empty.
    """
    unknown = sorted(set(names) - set(source.videos))
    if unknown:
        raise VaaError(f"--split: {len(unknown)} names are no videos with labels of {source.run.folder}: {unknown[0]}.")
    held = np.array([[float(video not in set(names)) for video in source.videos]])
    if not 0 < held.sum() < held.size:
        raise VaaError(f"--split: it names {len(set(names))} of {held.size} videos; some must be left on either side.")
    return held


def counts(chosen: Mapping[str, Setting]) -> dict[Setting, int]:
    """How many videos each setting was taken for, most first."""
    found: dict[Setting, int] = {}
    for setting in chosen.values():
        found[setting] = found.get(setting, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
