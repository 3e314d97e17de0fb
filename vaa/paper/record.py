"""What the replayed jobs gave, as plain numbers: the page can be made again from these alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaa.compare.comparison import STANDARD, compare
from vaa.errors import VaaError
from vaa.paper.rows import BATCHES, COMBINED
from vaa.report.runs import Run

DIGITS, DELTA_DIGITS = 8, 6
"""More than are shown, and too few for another machine's last bits to make another page."""
KEPT = (
    *("roc_auc", "pr_auc", "average_precision", "within_video_auc", "anomalous_share", "threshold_youden"),
    *("threshold_f1", "videos", "frames", "gated", "videos_queried/reconsider", "tiou", "tiou_per_video"),
    *("annotated_frames", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "bleu_sum", "cider", "meteor", "rouge_l"),
)
_TIMES, _SEED = 1000, 0
_WINDOWS = "scores/videollama3/highest_lowest_intervals.json"
Jobs = Mapping[tuple[str, ...], Run]


def record(found: Mapping[str, Jobs], urf: Path) -> dict[str, Any]:
    """Batch -> job -> numbers; the intervals of the combinations; how many suspicious windows are the authors' own."""
    return {
        "jobs": {name: {" ".join(job): numbers(run) for job, run in jobs.items()} for name, jobs in found.items()},
        "resamples": _TIMES,
        "seed": _SEED,
        "combined": {name: combined(found[name], base) for name, (_, base) in COMBINED.items()},
        "windows": windows(found["urf_ucf_replay"][()], urf / "ucf_crime" / _WINDOWS),
    }


def numbers(run: Run) -> dict[str, float]:
    """The metrics that the page shows."""
    return {name: rounded(value, DIGITS) for name in KEPT if (value := run.metrics.get(name)) is not None}


def combined(jobs: Jobs, base: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Job -> metric -> difference to the job `base` and its interval (low, high)."""
    order = list(jobs)
    names = [" ".join(job) for job in order]
    compared = compare([jobs[job] for job in order], order.index(base), STANDARD, names, _TIMES, _SEED)
    return {
        row.name: {name: [rounded(n, DELTA_DIGITS) for n in (d.value, d.low, d.high)] for name, d in row.deltas.items()}
        for row in compared.rows
    }


def windows(run: Run, file: Path) -> list[int]:
    """How many of the videos have the suspicious window of the authors' file, and how many videos there are."""
    try:
        theirs = {name: entry["highest_interval"] for name, entry in json.loads(file.read_text()).items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VaaError(f"{file}: not the authors' file of intervals: {error!r}") from error
    ours = {video: run.report(video)["stages"]["suspect"]["suspicion"]["highest"] for video in run.videos}
    return [sum(ours[video] == theirs.get(video) for video in ours), len(ours)]


def at(recorded: Mapping[str, Any], batch: str, words: tuple[str, ...]) -> dict[str, float]:
    """The numbers of a job; words that the batch does not sweep say nothing of it."""
    (swept,) = (each.swept for each in BATCHES if each.name == batch)
    keys = [word.split("=")[0] for word in swept]
    said = {word.split("=")[0]: word for word in words}
    return dict(recorded["jobs"][batch][" ".join(said[key] for key in keys)])


def rounded(value: float, digits: int) -> float:
    """A whole number as it is; -0 is 0."""
    return value if isinstance(value, int) or math.isnan(value) else round(value, digits) + 0.0
