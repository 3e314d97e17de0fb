"""What came of choosing, as rows: the run as it is, chosen elsewhere, nested over videos, chosen on these labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaa.compare.comparison import STANDARD, Delta
from vaa.compare.measures import Measure
from vaa.evaluation import bootstrap
from vaa.tune import choosing
from vaa.tune.choosing import SelectionRule, Trials
from vaa.tune.grid import AS_IT_IS, Setting
from vaa.tune.source import TuningSource

HERE = "chosen on these labels"


@dataclass(frozen=True)
class TunedRow:
    """`fair`: no label that is counted here had a part in the choice. Deltas are to the run as it is."""

    data: str
    setting: str
    chosen: str
    fair: bool
    values: Mapping[str, float]
    deltas: Mapping[str, Delta]


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: paired resamples of the videos."""

    times: int
    seed: int


def nested(
    source: TuningSource, settings: Sequence[Setting], count: int, rule: SelectionRule, sampling: Resampling
) -> list[TunedRow]:
    """Rows of one data set: as it is; each fold under what the others chose; what all its labels would choose."""
    held = choosing.folds(source, count, sampling.seed)
    done = choosing.tried(source, settings, held, rule)
    taken = choosing.nested(source, done, held)
    said = "; ".join(f"{setting.name} ({n} videos)" for setting, n in choosing.counts(taken).items())
    best = dict.fromkeys(source.videos, done.best(0))
    made = [("as it is", "-", True, dict.fromkeys(source.videos, AS_IT_IS))]
    made += [(said, f"nested, {count} folds of videos", True, taken), (done.best(0).name, HERE, False, best)]
    return _rows(source, source.videos, made, sampling)


def elsewhere(done: Trials, on: str, target: TuningSource, sampling: Resampling) -> list[TunedRow]:
    """Rows of another data set: as it is, and under what was chosen `on` another."""
    made = [("as it is", "-", True, dict.fromkeys(target.videos, AS_IT_IS))]
    made += [(done.best(0).name, f"on {on}", True, dict.fromkeys(target.videos, done.best(0)))]
    return _rows(target, target.videos, made, sampling)


def parted(source: TuningSource, done: Trials, held: bootstrap.Numbers, sampling: Resampling) -> list[TunedRow]:
    """Rows of the videos that a split leaves to report on: as they are, and under what the others chose."""
    rest = [video for video, out in zip(source.videos, held[0], strict=True) if out]
    made = [("as it is", "-", True, dict.fromkeys(rest, AS_IT_IS))]
    made += [
        (done.best(1).name, f"on the other {len(source.videos) - len(rest)}", True, dict.fromkeys(rest, done.best(1)))
    ]
    return _rows(source, rest, made, sampling)


def _rows(
    source: TuningSource,
    videos: Sequence[str],
    made: Sequence[tuple[str, str, bool, Mapping[str, Setting]]],
    sampling: Resampling,
) -> list[TunedRow]:
    weights = bootstrap.resamples(len(videos), sampling.times, sampling.seed)
    found = [source.measured(taken, weights, STANDARD) for *_, taken in made]
    where = source.name if len(videos) == len(source.videos) else f"{source.name}, {len(videos)} videos"
    return [
        TunedRow(where, said, chosen, fair, {n: m.value for n, m in each.items()}, _deltas(each, found[0]) if k else {})
        for k, ((said, chosen, fair, _), each) in enumerate(zip(made, found, strict=True))
    ]


def _deltas(ours: Mapping[str, Measure], base: Mapping[str, Measure]) -> dict[str, Delta]:
    deltas = {}
    for name, measured in ours.items():
        between = bootstrap.interval(np.asarray(measured.resampled - base[name].resampled))
        value = measured.value - base[name].value
        deltas[name] = Delta(value, between.low, between.high, between.undefined, True)
    return deltas
