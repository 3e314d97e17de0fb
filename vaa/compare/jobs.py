"""The jobs of a multirun as a table: the settings that differ, the main metrics, the errors of failed jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vaa.compare.comparison import report_link
from vaa.compare.differences import differences
from vaa.compare.multirun import ERROR_FILE
from vaa.compare.tables import Cell, Table, format_number, render
from vaa.errors import VaaError
from vaa.report.runs import Run, natural_order

_METRICS = ("roc_auc", "pr_auc", "within_video_auc", "tiou", "events", "events_hit", "false_alerts")
_WITHOUT_LABELS = ("videos", "failed", "unparsed")
_DIGITS = 4


def print_jobs(folder: Path) -> None:
    """Print the table of a multirun's jobs and the command that compares them; nothing where no job was started."""
    runs = _jobs(folder)
    if not runs:
        return
    try:
        text = render(jobs_table(runs, folder), "table", colour=sys.stdout.isatty())
    except VaaError as error:
        text = f"{error}\n"
    sys.stdout.write(f"\n{text}")


def jobs_table(runs: Sequence[Run], folder: Path) -> Table:
    """The table of the jobs of a multirun in `folder`; those that failed have the first line of their error.

    Raises:
        DataError: a file of a job cannot be read.
    """
    metrics = [run.metrics if (run.folder / "metrics.json").is_file() else {} for run in runs]
    names = [name for name in _METRICS if any(each.get(name) is not None for each in metrics)]
    names = names or [name for name in _WITHOUT_LABELS if any(name in each for each in metrics)]
    settings = differences(runs) if len(runs) > 1 else {}
    errors = [_error(run, bool(each)) for run, each in zip(runs, metrics, strict=True)]
    header = ("job", *settings, *names, *(["error"] if any(errors) else []))
    rows = []
    for k, run in enumerate(runs):
        cells = [Cell(os.path.relpath(run.folder, folder), link=report_link(run.folder))]
        cells += [Cell(values[k]) for values in settings.values()]
        cells += [Cell(format_number(metrics[k].get(name), _DIGITS)) for name in names]
        rows.append((*cells, *([Cell(errors[k])] if any(errors) else [])))
    numeric = tuple(title in names for title in header)
    n_finished = sum(map(bool, metrics))
    notes = [f"{n_finished} of {len(runs)} jobs have results in {folder}."]
    if n_finished:
        notes.append(f"Differences with intervals: python -m vaa.compare {os.path.relpath(folder)}")
    return Table("Jobs", header, numeric, tuple(rows), tuple(notes), records=())


def _jobs(folder: Path) -> list[Run]:
    """The jobs that were started, by their number."""
    started = (file.parents[1] for file in folder.glob("**/.hydra/config.yaml"))
    return [Run(job) for job in sorted(started, key=natural_order)]


def _error(run: Run, finished: bool) -> str:
    file = run.folder / ERROR_FILE
    if file.is_file():
        return file.read_text(encoding="utf-8").strip().partition("\n")[0]
    return "" if finished else "unfinished"
