"""The numbers of the replayed jobs, as they are saved in `docs/results.json`; the page is made from these alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vaa.compare.comparison import STANDARD, compare
from vaa.errors import DataError
from vaa.paper import leaderboard
from vaa.paper.rows import BATCHES, COMBINED
from vaa.report.runs import Run

METRIC_DIGITS, DELTA_DIGITS = 8, 6
"""More than the page shows, but too few for another machine's rounding to change them."""
METRICS = (
    *("roc_auc", "pr_auc", "average_precision", "within_video_auc", "anomalous_share", "threshold_youden"),
    *("threshold_f1", "videos", "frames", "gated", "videos_queried/rerate", "tiou", "tiou_per_video"),
    *("annotated_frames", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum", "cider", "meteor", "rouge_l"),
)
_RESAMPLES, _SEED = 1000, 0
_INTERVALS = "ucf_crime/scores/videollama3/highest_lowest_intervals.json"
Jobs = Mapping[tuple[str, ...], Run]
"""Swept overrides -> the finished run."""


def make_record(batches: Mapping[str, Jobs], urf: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """All numbers of the page, of the finished jobs of each batch; `urf` is the folder of URF's released files.

    `own` are those of the project's own rows, by experiment, from this run or from an earlier record.
    """
    return {
        "jobs": {
            batch.name: {" ".join(job): metrics(run) for job, run in batches[batch.name].items()}
            for batch in BATCHES
            if batch.name in batches
        },
        "resamples": _RESAMPLES,
        "seed": _SEED,
        "combined": {name: deltas(batches[name], baseline) for name, (_, baseline) in COMBINED.items()},
        "windows": equal_windows(batches["urf_ucf_replay"][()], urf / _INTERVALS),
        "own": own,
        "leaderboard": {
            row.batch.name: leaderboard.measured(run)
            for row in leaderboard.ROWS
            if row.batch.name in batches
            for run in batches[row.batch.name].values()
        },
    }


def metrics(run: Run) -> dict[str, float]:
    """The metrics of a run that the page shows."""
    return {name: _round(value, METRIC_DIGITS) for name in METRICS if (value := run.metrics.get(name)) is not None}


def own_metrics(run: Run) -> dict[str, Any]:
    """The metrics of a run of an own row, and its date."""
    day = datetime.fromtimestamp((run.folder / "metrics.json").stat().st_mtime, tz=UTC).date()
    return metrics(run) | {"date": day.isoformat()}


def deltas(jobs: Jobs, baseline: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Job -> metric -> difference to the job `baseline`, and the low and high end of its interval."""
    order = list(jobs)
    names = [" ".join(job) for job in order]
    comparison = compare(list(jobs.values()), order.index(baseline), STANDARD, names, _RESAMPLES, _SEED)
    return {
        row.name: {name: [_round(x, DELTA_DIGITS) for x in (d.value, d.low, d.high)] for name, d in row.deltas.items()}
        for row in comparison.rows
    }


def equal_windows(run: Run, file: Path) -> list[int]:
    """The number of videos whose most suspicious window equals the one in the authors' file, and of all videos.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        theirs = {name: entry["highest_interval"] for name, entry in json.loads(file.read_text()).items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not the authors' file of intervals: {error!r}") from error
    windows = {video: run.evaluation.reports[video].suspicious_window for video in run.videos}
    ours = {video: list(window.highest) for video, window in windows.items() if window is not None}
    return [sum(ours[video] == theirs.get(video) for video in ours), len(ours)]


def job_metrics(record: Mapping[str, Any], batch: str, job: tuple[str, ...]) -> dict[str, float]:
    """The metrics of a job in a record; overrides that the batch does not sweep are ignored.

    An optional batch whose files were absent has none.
    """
    ((swept, optional),) = ((each.swept, each.optional) for each in BATCHES if each.name == batch)
    if optional and batch not in record["jobs"]:
        return {}
    by_key = {override.split("=")[0]: override for override in job}
    return dict(record["jobs"][batch][" ".join(by_key[override.split("=")[0]] for override in swept)])


def _round(value: float, digits: int) -> float:
    """Rounded, with 0 in place of -0; an int as it is."""
    return value if isinstance(value, int) or math.isnan(value) else round(value, digits) + 0.0
