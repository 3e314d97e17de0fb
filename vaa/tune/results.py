"""The results of tuning as a table: the run as it is, and under selected settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaa.compare.comparison import STANDARD, Delta, measure_deltas, record_columns, record_values
from vaa.compare.tables import Cell, Table, Value
from vaa.evaluation import bootstrap
from vaa.tune.selection import SelectionRule, Trials, make_folds, nested_settings, setting_counts, try_settings
from vaa.tune.settings import AS_IT_IS, Setting
from vaa.tune.tunable_run import TunableRun

ON_THESE_LABELS = "chosen on these labels"
MARK = "‡"


@dataclass(frozen=True)
class TunedRow:
    """Metrics under a setting; `fair` if it was selected without the labels that it is evaluated by.

    Deltas are to the run as it is.
    """

    data: str
    setting: str
    chosen: str
    fair: bool
    values: Mapping[str, float]
    deltas: Mapping[str, Delta]


@dataclass(frozen=True)
class Resampling:
    """How many paired resamples of the videos the intervals are made from, and their seed."""

    times: int
    seed: int


@dataclass(frozen=True)
class _Selected:
    """A row to be measured: each video's setting, its name, and how it was chosen."""

    settings: Mapping[str, Setting]
    name: str
    chosen: str
    fair: bool = True


def nested_rows(
    run: TunableRun, settings: Sequence[Setting], count: int, rule: SelectionRule, resampling: Resampling
) -> list[TunedRow]:
    """Each fold under the setting that is best on the others; and all videos under the best on all labels."""
    folds = make_folds(run, count, resampling.seed)
    trials = try_settings(run, settings, folds, rule)
    nested = nested_settings(run, trials, folds)
    names = "; ".join(f"{setting.name} ({n} videos)" for setting, n in setting_counts(nested))
    best = trials.best(0)
    selected = [
        _Selected(nested, names, f"nested, {count} folds of videos"),
        _Selected(dict.fromkeys(run.videos, best), best.name, ON_THESE_LABELS, fair=False),
    ]
    return _rows(run, run.videos, selected, resampling)


def transfer_rows(trials: Trials, source: str, target: TunableRun, resampling: Resampling) -> list[TunedRow]:
    """Another data set under the setting that is best on `source`."""
    best = trials.best(0)
    selected = [_Selected(dict.fromkeys(target.videos, best), best.name, f"on {source}")]
    return _rows(target, target.videos, selected, resampling)


def split_rows(run: TunableRun, trials: Trials, fold: bootstrap.Numbers, resampling: Resampling) -> list[TunedRow]:
    """The videos of the fold, shape (1, videos), under the setting that is best on the others."""
    videos = [video for video, inside in zip(run.videos, fold[0], strict=True) if inside]
    best, others = trials.best(1), len(run.videos) - len(videos)
    return _rows(run, videos, [_Selected(dict.fromkeys(videos, best), best.name, f"on the other {others}")], resampling)


def _rows(
    run: TunableRun, videos: Sequence[str], selected: Sequence[_Selected], resampling: Resampling
) -> list[TunedRow]:
    selected = [_Selected(dict.fromkeys(videos, AS_IT_IS), AS_IT_IS.name, "-"), *selected]
    weights = bootstrap.resamples(len(videos), resampling.times, resampling.seed)
    measures = [run.measure(each.settings, weights, STANDARD) for each in selected]
    data = run.data if len(videos) == len(run.videos) else f"{run.data}, {len(videos)} videos"
    return [
        TunedRow(
            data=data,
            setting=each.name,
            chosen=each.chosen,
            fair=each.fair,
            values={name: result.value for name, result in measures[k].items()},
            deltas=measure_deltas(measures[k], measures[0], same_protocol=True) if k else {},
        )
        for k, each in enumerate(selected)
    ]


def results_table(rows: Sequence[TunedRow], notes: Sequence[str], digits: int) -> Table:
    """The rows as a table; those that are not fair have a mark."""
    header = ("data", "setting", "chosen", *(title for name in STANDARD for title in (name, "Δ [95 %]")))
    numeric = (False, False, False, *(True for _ in header[3:]))
    if any(not row.fair for row in rows):
        notes = [*notes, f"{MARK} {ON_THESE_LABELS}: too high, since the setting was selected by it. Do not report it."]
    records: list[tuple[Value, ...]] = [("data", "setting", "chosen", "fair", *record_columns(STANDARD))]
    for row in rows:
        numbers = record_values(row.values, row.deltas, STANDARD)
        records.append((row.data, row.setting, row.chosen, "yes" if row.fair else "no", *numbers))
    cells = tuple(_cells(row, digits) for row in rows)
    return Table("Tuned settings", header, numeric, cells, tuple(notes), tuple(records))


def _cells(row: TunedRow, digits: int) -> tuple[Cell, ...]:
    cells = [Cell(row.data), Cell(row.setting), Cell(row.chosen if row.fair else f"{row.chosen} {MARK}")]
    for name in STANDARD:
        cells.append(Cell(f"{row.values[name]:.{digits}f}"))
        cells.append(Cell(row.deltas[name].text(digits) if name in row.deltas else ""))
    return tuple(cells)
