"""Runs over the same videos: values, what differs, and how far each is from the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaa.compare import measures
from vaa.compare.differences import differences
from vaa.compare.measures import Measure, RunScores
from vaa.errors import VaaError
from vaa.evaluation import bootstrap
from vaa.report.runs import Run

STANDARD = ("roc_auc", "ap", "within_video_auc")
_HIGHER = (*measures.RESAMPLED, "cider", "meteor", "meteor_jar", "rouge_l")  # and whatever begins as these:
_HIGHER_FAMILIES = ("bleu_", "judge_reasonability", "judge_detail", "judge_consistency", "class_auc")
_LOWER = ("unparsed", "failed", "model_queries", "judge_unread")
_NEAR = 1e-6


@dataclass(frozen=True)
class Delta:
    """How far a run is from the baseline, and where 95 % of the resamples put that (NaN where it is not known).

    `undefined` resamples say nothing of it. `alike`: both were counted in the same way.
    """

    value: float
    low: float
    high: float
    undefined: int
    alike: bool


@dataclass(frozen=True)
class ComparisonRow:
    """A run: what is its own, its values, its deltas; `marks` says what is wrong with it."""

    name: str
    folder: str
    choices: Mapping[str, str]
    values: Mapping[str, float]
    deltas: Mapping[str, Delta]
    best: frozenset[str]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What differs (column names), the metrics, the runs in order, the baseline's place, and what has to be said."""

    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]
    baseline: int
    notes: tuple[str, ...]


def compare(
    runs: Sequence[Run], baseline: int, metrics: Sequence[str], names: Sequence[str], times: int, seed: int
) -> Comparison:
    """Compare runs over the videos they share; `names` are the rows'.

    Raises:
        VaaError: a metric that no run has, a damaged run, no video in common.
    """
    metrics = _asked(runs, metrics)
    counted = [measures.read(run) for run in runs]
    videos = _common(counted)
    weights = bootstrap.resamples(len(videos), times, seed)
    found = [measures.measure(each, videos, weights, metrics) for each in counted]
    ways = [each.counting(videos) for each in counted]
    differ = differences(runs)
    rows = [
        ComparisonRow(
            name=names[k],
            folder=str(run.folder),
            choices={column: values[k] for column, values in differ.items()},
            values={name: measured.value for name, measured in found[k].items()},
            deltas=_deltas(found[k], found[baseline], ways[k] == ways[baseline]) if k != baseline else {},
            best=frozenset(name for name in metrics if _is_best(name, k, found, ways)),
            marks=tuple(_marks(run)),
        )
        for k, run in enumerate(runs)
    ]
    notes = [*_about(counted, videos, names, times, seed), *_warnings(rows, counted, videos, metrics)]
    return Comparison(tuple(differ), tuple(metrics), tuple(rows), baseline, tuple(notes))


def _asked(runs: Sequence[Run], metrics: Sequence[str]) -> list[str]:
    known = measures.known(runs)
    for name in metrics:
        if name not in known:
            raise VaaError(f"--metric {name}: no such metric in these runs. Known: {', '.join(known)}.")
    return list(dict.fromkeys(metrics)) or [name for name in STANDARD if name in known]


def _common(counted: Sequence[RunScores]) -> list[str]:
    """The videos that every run has, in the first one's order."""
    for each in counted:
        if not each.labels:
            raise VaaError(f"{each.run.folder}: its videos have no labels, so there is nothing to count. See --videos.")
    shared = set.intersection(*(each.videos for each in counted))
    if not shared:
        sets = ", ".join(f"{each.run.folder} ({each.run.truth['data']})" for each in counted)
        raise VaaError(f"no video is in all of these runs: {sets}. Compare runs over the same videos.")
    return [video for video in counted[0].labels if video in shared]


def _deltas(found: Mapping[str, Measure], base: Mapping[str, Measure], alike: bool) -> dict[str, Delta]:
    deltas = {}
    for name in (name for name in found if name in base):
        ours, theirs = found[name], base[name]
        interval = bootstrap.interval(ours.resampled - theirs.resampled)
        deltas[name] = Delta(ours.value - theirs.value, interval.low, interval.high, interval.undefined, alike)
    return deltas


def _is_best(name: str, place: int, found: Sequence[Mapping[str, Measure]], ways: Sequence[object]) -> bool:
    """Among the runs that were counted in the same way, if there are others."""
    sign = 1 if name in _HIGHER or name.startswith(_HIGHER_FAMILIES) else -1 if name in _LOWER else 0
    rivals = [
        sign * each[name].value for each, way in zip(found, ways, strict=True) if way == ways[place] and name in each
    ]
    rivals = [value for value in rivals if not math.isnan(value)]
    return sign != 0 and len(rivals) > 1 and name in found[place] and sign * found[place][name].value == max(rivals)


def _marks(run: Run) -> list[str]:
    failed, unparsed = len(run.failures), int(run.metrics.get("unparsed") or 0)
    allowed = run.config.get("max_unparsed", 1) * (run.metrics.get("answers") or 0)
    marks = [f"not whole: {failed} videos failed"] if failed else []
    marks += [f"not whole: {unparsed} answers could not be read"] if unparsed > allowed else []
    return marks + [notice.split(". ")[0] for notice in run.notices]


def _about(
    counted: Sequence[RunScores], videos: Sequence[str], names: Sequence[str], times: int, seed: int
) -> list[str]:
    frames = sum(len(counted[0].labels[video]) for video in videos)
    out = [f"{len(each.videos) - len(videos)} of {name}" for each, name in zip(counted, names, strict=True)]
    said = [f"{len(videos)} videos, {frames} frames."]
    if any(len(each.videos) > len(videos) for each in counted):
        said = [f"Over the {len(videos)} videos that all runs have ({frames} frames); left out: {', '.join(out)}."]
    if len(counted) > 1 and times:
        said.append(f"Brackets: 95 % interval of the difference, {times} paired resamples of the videos, seed {seed}.")
    return said


def _warnings(
    rows: Sequence[ComparisonRow], counted: Sequence[RunScores], videos: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    said = [f"{row.name}: {mark}." for row in rows for mark in row.marks]
    if any(not delta.alike for row in rows for delta in row.deltas.values()):
        said.append(
            "† counted in another way than the baseline (protocol or labels): this is the difference between two ways "
            "of counting, too."
        )
    undefined = max((delta.undefined for row in rows for delta in row.deltas.values()), default=0)
    said += [f"{undefined} resamples had frames of one class only and say nothing."] if undefined else []
    fixed = [name for name in metrics if name not in measures.RESAMPLED]
    if fixed:
        said.append(f"{', '.join(fixed)}: as the run counted it, over its own videos; no interval.")
    for row, each in zip(rows, counted, strict=True):
        whole = [n for n in row.values if n in measures.RESAMPLED and len(each.videos) == len(videos)]
        other = [n for n in whole if abs(row.values[n] - (each.run.metrics[n] or math.nan)) > _NEAR]
        said += [
            f"{row.name}: its files give {n} {row.values[n]:.6f}, metrics.json {each.run.metrics[n]:.6f}."
            for n in other
        ]
    return said
