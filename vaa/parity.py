"""`python -m vaa.parity outputs/A outputs/B`: how equal the answers of runs are, and how fast each run was.

For runs that differ in how a model is run (backend, precision, decoder, size of frames), not in what it is asked.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from vaa import process
from vaa.compare.comparison import compare
from vaa.compare.tables import Cell, Table, Value, add_table_options, csv_value, format_number, write_table
from vaa.errors import ConfigError, ModelError
from vaa.models.transformers.loading import count_tokens
from vaa.report.runs import Run, find_runs, short_names
from vaa.types import Report, Response

_HEADER = (
    *("run", "stage", "queries", "cached", "queries/s", "tokens/s", "waiting", "memory, GB"),
    *("answers", "equal", "mean |Δ score|", "max |Δ score|"),
)


_TOLERANCE = 1e-5
"""Largest difference between the scores of equal answers."""


@dataclass(frozen=True, kw_only=True)
class StageParity:
    """A stage of a run: what it cost, and its answers against those of the first run; NaN for what is unknown.

    `waiting` is a share of the time, `memory` in GB, `equal` the share of answers with the same text and score.
    """

    run: str
    stage: str
    queries: float
    cached: float
    queries_per_second: float
    tokens_per_second: float
    waiting: float
    memory: float
    answers: float = math.nan
    equal: float = math.nan
    mean_difference: float = math.nan
    max_difference: float = math.nan

    @property
    def numbers(self) -> tuple[float, ...]:
        """The values in the order of the columns."""
        return (
            *(self.queries, self.cached, self.queries_per_second, self.tokens_per_second, self.waiting, self.memory),
            *(self.answers, self.equal, self.mean_difference, self.max_difference),
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Compare runs, print or save the table; returns the exit status."""
    return write_table(_table, _parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vaa.parity", description=__doc__)
    parser.add_argument("folders", nargs="+", help="runs, or folders that contain runs; the first is the reference")
    add_table_options(parser)
    return parser


def _table(args: argparse.Namespace) -> Table:
    runs = find_runs(args.folders)
    if len(runs) < 2:
        raise ConfigError(f"{runs[0].folder}: only one run is given; give the folders of two or more.")
    names = short_names(runs)
    rows = [row for run, name in zip(runs, names, strict=True) for row in stages(run, name, runs[0])]
    cells = tuple((Cell(row.run), Cell(row.stage), *map(Cell, _texts(row, args.digits))) for row in rows)
    records: list[tuple[Value, ...]] = [_HEADER]
    records += [(row.run, row.stage, *map(csv_value, row.numbers)) for row in rows]
    notes = (
        f"equal: share of the answers with the text that {names[0]} has and a score within {_TOLERANCE:g} of its.",
        "queries/s: of those sent to a model, without loading it where they have frames. tokens/s: of the answers as "
        "they were parsed, of local models only. waiting: share of the time in which the model waited for frames. "
        "memory: main memory of all processes, an upper bound.",
        *_metrics(runs, names, args),
    )
    return Table("Parity", _HEADER, (False, False, *(True for _ in _HEADER[2:])), cells, notes, tuple(records))


def stages(run: Run, name: str, reference: Run) -> Iterator[StageParity]:
    """The stages of a run in which a model was queried.

    Raises:
        DataError: a file of a run is missing or damaged, as of a run of an earlier version.
    """
    for stage, stats in run.performance.items():
        if not stats["n_queries"] + stats["n_cached"] or stats["embedding"]:
            continue
        seconds, sent = stats["answering"] or stats["seconds"] or math.nan, stats["n_queries"]
        own = _responses(run, stage)
        speed = StageParity(
            run=name,
            stage=stage,
            queries=sent,
            cached=stats["n_cached"],
            queries_per_second=sent / seconds if sent else math.nan,
            tokens_per_second=math.nan if stats["n_cached"] else _tokens(run, stage, own) / seconds,
            waiting=math.nan if stats["waited"] is None else stats["waited"] / seconds,
            memory=math.nan if stats["memory"] is None else stats["memory"] / 1e9,
        )
        yield speed if run is reference else _compared(speed, own, _responses(reference, stage))


def _compared(
    speed: StageParity, own: Mapping[str, Sequence[Response]], other: Mapping[str, Sequence[Response]]
) -> StageParity:
    """With the answers that both runs have: a video's are compared in order, if it has as many in both."""
    videos = [video for video in own if len(own[video]) == len(other.get(video, ()))]
    pairs = [pair for video in videos for pair in zip(own[video], other[video], strict=True)]
    if not pairs:
        return speed
    differences = np.array([abs(a.score - b.score) for a, b in pairs])
    known = differences[~np.isnan(differences)]
    return replace(
        speed,
        answers=len(pairs),
        equal=sum((a.text, a.description) == (b.text, b.description) and _same(a.score, b.score) for a, b in pairs)
        / len(pairs),
        mean_difference=float(known.mean()) if len(known) else math.nan,
        max_difference=float(known.max()) if len(known) else math.nan,
    )


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= _TOLERANCE or (math.isnan(a) and math.isnan(b))


def _responses(run: Run, stage: str) -> dict[str, Sequence[Response]]:
    """Video -> the answers that a stage gave; a summary or tags count as one answer without a score."""
    result: dict[str, Sequence[Response]] = {}
    for video, history in ((video, run.evaluation.history[video]) for video in run.videos):
        if stage in history:
            names = list(history)
            position = names.index(stage)
            before = history[names[position - 1]] if position else None
            result[video] = _new_responses(before, history[stage])
    return result


def _new_responses(before: Report | None, after: Report) -> Sequence[Response]:
    """The answers after a stage, without the texts that they had before it."""
    old = before.responses if before is not None else ()
    changed = [
        replace(new, text=new.text.removeprefix(b.text), description=new.description.removeprefix(b.description))
        for new, b in zip_longest(after.responses, old, fillvalue=Response("", math.nan, ""))
    ]
    texts = [
        text
        for text, earlier in ((after.summary, before and before.summary), (after.tags, before and before.tags))
        if text and text != earlier
    ]
    return [*(changed if after.responses != old else ()), *(Response(text, math.nan, "") for text in texts)]


def _tokens(run: Run, stage: str, responses: Mapping[str, Sequence[Response]]) -> float:
    """The tokens of a stage's answers by its model's own tokenizer; NaN if it is not known here."""
    part = _resolve(run.config, run.config["stages"].get(stage))
    model = _resolve(run.config, part.get("model") if isinstance(part, dict) else None)
    if not isinstance(model, dict) or not {"checkpoint", "backend"} <= model.keys():
        return math.nan
    texts = [part for own in responses.values() for answer in own for part in (answer.text, answer.description) if part]
    try:
        return count_tokens(model["checkpoint"], model["revision"], "\n".join(texts)) or math.nan
    except ModelError:
        return math.nan


def _resolve(config: Mapping[str, Any], value: Any) -> Any:
    """What a value refers to, as `${vlm}` does."""
    while isinstance(value, str) and value.startswith("${"):
        key, value = value[2:-1], config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _metrics(runs: Sequence[Run], names: Sequence[str], args: argparse.Namespace) -> list[str]:
    """The metrics of the runs and their differences to the first, in words; none where no video has labels."""
    if not any(run.truth["videos"] for run in runs):
        return []
    comparison = compare(runs, 0, (), names, args.resamples, args.seed)
    return [
        f"{row.name}: {metric} {format_number(row.values[metric], args.digits)}"
        + (f", difference {row.deltas[metric].text(args.digits)}" if metric in row.deltas else "")
        for row in comparison.rows
        for metric in comparison.metrics
        if metric in row.values
    ]


def _texts(row: StageParity, digits: int) -> list[str]:
    count, speed = 0, 2
    decimals = (count, count, speed, speed, speed, speed, count, digits, digits, digits)
    texts = [format_number(value, places) for value, places in zip(row.numbers, decimals, strict=True)]
    if 0 < row.max_difference < 10**-digits:
        texts[-1] = f"{row.max_difference:.1e}"
    return texts


if __name__ == "__main__":
    process.configure()
    sys.exit(main())
