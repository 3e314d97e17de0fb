"""Compare runs over the videos that all of them have: metrics, and differences to a baseline with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.compare import measures
from vaa.compare.differences import differences
from vaa.compare.measures import Measure, RunScores
from vaa.compare.tables import Cell, Table, Value, csv_value, format_number
from vaa.errors import ConfigError, DataError
from vaa.evaluation import bootstrap
from vaa.report.runs import Run

STANDARD = ("roc_auc", "pr_auc", "within_video_auc")
_HIGHER_IS_BETTER = (*measures.RESAMPLED, "cider", "meteor", "meteor_jar", "rouge_l", "events_hit")
_HIGHER_PREFIXES = (
    *("bleu_", "judge_reasonability", "judge_detail", "judge_consistency", "class_auc", "definition_roc_auc"),
    *("macro_auc", "anomalous_roc_auc", "anomalous_pr_auc", "within_class_", "event_precision", "event_recall"),
    *("event_f1", "event_mean_precision", "map", "rbdc", "tbdc", "pixel_auc"),
)
_LOWER_IS_BETTER = (
    *("unparsed", "failed", "model_queries", "judge_unparsed"),
    *("false_alerts", "false_alerts_per_hour", "median_delay_s"),
)
_LOWER_PREFIXES = ("false_alarm", "missed_share", "delay_m")
_TOLERANCE = 1e-6
"""Largest difference between a metric computed anew and the one in metrics.json that is not reported."""


@dataclass(frozen=True)
class Delta:
    """The difference of a metric to the baseline's, with its 95 % bootstrap interval (NaN if unknown).

    `undefined` counts resamples in which the metric does not exist; `same_protocol`: both runs are evaluated alike.
    """

    value: float
    low: float
    high: float
    undefined: int
    same_protocol: bool

    def text(self, digits: int) -> str:
        """As in a table; empty if there is none."""
        if math.isnan(self.value):
            return ""
        interval = "" if math.isnan(self.low) else f" [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"
        return f"{self.value:+.{digits}f}{interval}{'' if self.same_protocol else ' †'}"


@dataclass(frozen=True)
class ComparisonRow:
    """A run: the settings that differ, its metrics, their deltas; `best`: metrics in which no run is better."""

    name: str
    folder: str
    choices: Mapping[str, str]
    values: Mapping[str, float]
    deltas: Mapping[str, Delta]
    best: frozenset[str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The differing settings (`columns`), the metrics, the runs in order, the baseline's index, and notes."""

    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]
    baseline: int
    notes: tuple[str, ...]


def measure_deltas(
    run: Mapping[str, Measure], baseline: Mapping[str, Measure], same_protocol: bool
) -> dict[str, Delta]:
    """The deltas of the metrics that both runs have, over paired resamples."""
    deltas = {}
    for name in (name for name in run if name in baseline):
        interval = bootstrap.interval(run[name].resampled - baseline[name].resampled)
        value = run[name].value - baseline[name].value
        deltas[name] = Delta(value, interval.low, interval.high, interval.undefined, same_protocol)
    return deltas


def compare(
    runs: Sequence[Run], baseline: int, metrics: Sequence[str], names: Sequence[str], times: int, seed: int
) -> Comparison:
    """Compare runs over the videos they share, with `times` resamples; `names` are the rows'.

    Raises:
        ConfigError: a metric that no run has.
        DataError: a run is damaged, or the runs have no video in common.
    """
    metrics = _known_metrics(runs, metrics)
    data = [measures.read_scores(run) for run in runs]
    videos = _shared_videos(data)
    weights = bootstrap.resamples(len(videos), times, seed)
    results = [measures.measure(each, videos, weights, metrics) for each in data]
    keys = [each.evaluation_key(videos) for each in data]
    settings = differences(runs)
    rows = [
        ComparisonRow(
            name=names[k],
            folder=str(run.folder),
            choices={column: values[k] for column, values in settings.items()},
            values={name: result.value for name, result in results[k].items()},
            deltas=measure_deltas(results[k], results[baseline], keys[k] == keys[baseline]) if k != baseline else {},
            best=frozenset(name for name in metrics if _is_best(name, k, results, keys)),
            warnings=tuple(_run_warnings(run)),
        )
        for k, run in enumerate(runs)
    ]
    notes = [*_scope_notes(data, videos, names, times, seed), *_warning_notes(rows, data, videos, metrics)]
    return Comparison(tuple(settings), tuple(metrics), tuple(rows), baseline, tuple(notes))


def _known_metrics(runs: Sequence[Run], metrics: Sequence[str]) -> list[str]:
    known = measures.metric_names(runs)
    for name in metrics:
        if name not in known:
            raise ConfigError(f"--metric {name}: no such metric in these runs. Known: {', '.join(known)}.")
    return list(dict.fromkeys(metrics)) or [name for name in STANDARD if name in known]


def _shared_videos(data: Sequence[RunScores]) -> list[str]:
    """The videos that every run has, in the first run's order."""
    for each in data:
        if not each.labels:
            raise DataError(f"{each.run.folder}: no video has labels, so there are no metrics. See --videos.")
    shared = set.intersection(*(each.videos for each in data))
    if not shared:
        names = ", ".join(f"{each.run.folder} ({each.run.evaluation.data})" for each in data)
        raise DataError(f"no video is in all of these runs: {names}. Compare runs over the same videos.")
    return [video for video in data[0].labels if video in shared]


def _is_best(name: str, index: int, results: Sequence[Mapping[str, Measure]], keys: Sequence[object]) -> bool:
    """Whether no other run that is evaluated alike has a better value; False if there is no other."""
    higher = name in _HIGHER_IS_BETTER or name.startswith(_HIGHER_PREFIXES)
    lower = name in _LOWER_IS_BETTER or name.startswith(_LOWER_PREFIXES)
    sign = 1 if higher else -1 if lower else 0
    alike = (result for result, key in zip(results, keys, strict=True) if key == keys[index] and name in result)
    values = [value for value in (sign * result[name].value for result in alike) if not math.isnan(value)]
    return sign != 0 and len(values) > 1 and name in results[index] and sign * results[index][name].value == max(values)


def _run_warnings(run: Run) -> list[str]:
    failed, unparsed = len(run.failures), int(run.metrics.get("unparsed") or 0)
    allowed = run.config.get("max_unparsed", 1) * (run.metrics.get("answers") or 0)
    warnings = [f"incomplete: {failed} videos failed"] if failed else []
    warnings += [f"incomplete: {unparsed} answers could not be parsed"] if unparsed > allowed else []
    return warnings + [notice.split(". ")[0] for notice in run.notices]


def _scope_notes(
    data: Sequence[RunScores], videos: Sequence[str], names: Sequence[str], times: int, seed: int
) -> list[str]:
    frames = sum(len(data[0].labels[video]) for video in videos)
    notes = [f"{len(videos)} videos, {frames} frames."]
    if any(len(each.videos) > len(videos) for each in data):
        left_out = [f"{len(each.videos) - len(videos)} of {name}" for each, name in zip(data, names, strict=True)]
        notes = [
            f"Over the {len(videos)} videos that all runs have ({frames} frames); left out: {', '.join(left_out)}."
        ]
    if len(data) > 1 and times:
        notes.append(f"Brackets: 95 % interval of the difference, {times} paired resamples of the videos, seed {seed}.")
    return notes


def _warning_notes(
    rows: Sequence[ComparisonRow], data: Sequence[RunScores], videos: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    notes = [f"{row.name}: {warning}." for row in rows for warning in row.warnings]
    if any(not delta.same_protocol for row in rows for delta in row.deltas.values()):
        notes.append(
            "† evaluated by another protocol or other labels than the baseline: the difference includes that change."
        )
    undefined = max((delta.undefined for row in rows for delta in row.deltas.values()), default=0)
    if undefined:
        notes.append(f"{undefined} resamples have frames of one class only and are left out of the intervals.")
    fixed = [name for name in metrics if name not in measures.RESAMPLED]
    if fixed:
        notes.append(f"{', '.join(fixed)}: from metrics.json, over the run's own videos, without an interval.")
    for row, each in zip(rows, data, strict=True):
        complete = [n for n in row.values if n in measures.RESAMPLED and len(each.videos) == len(videos)]
        notes += [
            f"{row.name}: its files give {n} {row.values[n]:.6f}, metrics.json {each.run.metrics[n]:.6f}."
            for n in complete
            if abs(row.values[n] - (each.run.metrics[n] or math.nan)) > _TOLERANCE
        ]
    return notes


def comparison_table(comparison: Comparison, digits: int) -> Table:
    """The comparison as a table: settings that differ, metrics and deltas, the best in bold."""
    several, metrics = len(comparison.rows) > 1, comparison.metrics
    titles = [title for metric in metrics for title in ((metric, "Δ [95 %]") if several else (metric,))]
    header = ("run", *comparison.columns, *titles)
    numeric = (False, *(False for _ in comparison.columns), *(True for _ in titles))
    rows = []
    for row in comparison.rows:
        cells = [Cell(f"{row.name} !" if row.warnings else row.name, link=report_link(Path(row.folder)))]
        cells += [Cell(row.choices[column]) for column in comparison.columns]
        for metric in metrics:
            cells.append(Cell(format_number(row.values.get(metric), digits), metric in row.best))
            cells += [Cell(row.deltas[metric].text(digits) if metric in row.deltas else "")] if several else []
        rows.append(tuple(cells))
    base = (f"Δ: to {comparison.rows[comparison.baseline].name}.",) if several else ()
    title = f"{len(comparison.rows)} runs compared" if several else "A run"
    return Table(title, header, numeric, tuple(rows), (*base, *comparison.notes), _records(comparison))


def report_link(folder: Path) -> str:
    """The page of a run; "" where there is none."""
    page = folder / "report.html"
    return str(page) if page.is_file() else ""


def record_columns(metrics: Sequence[str]) -> list[str]:
    """The CSV columns of these metrics and their deltas."""
    return [f"{metric}{suffix}" for metric in metrics for suffix in ("", "_delta", "_low", "_high")]


def record_values(values: Mapping[str, float], deltas: Mapping[str, Delta], metrics: Sequence[str]) -> list[Value]:
    """The values of `record_columns`; None where there is no number."""
    record: list[Value] = []
    for metric in metrics:
        delta = deltas.get(metric)
        numbers = (values.get(metric), *((delta.value, delta.low, delta.high) if delta else (None,) * 3))
        record += [csv_value(number) for number in numbers]
    return record


def _records(comparison: Comparison) -> tuple[tuple[Value, ...], ...]:
    records: list[tuple[Value, ...]] = [
        ("run", "folder", *comparison.columns, *record_columns(comparison.metrics), "same_protocol", "warnings")
    ]
    for row in comparison.rows:
        same_protocol = all(delta.same_protocol for delta in row.deltas.values())
        choices = (row.choices[column] for column in comparison.columns)
        metrics = record_values(row.values, row.deltas, comparison.metrics)
        warnings = "; ".join(row.warnings)
        records.append((row.name, row.folder, *choices, *metrics, "yes" if same_protocol else "no", warnings))
    return tuple(records)
