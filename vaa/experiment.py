"""A composed run: analyse, write, count, show, log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from vaa.cache import AnswerCache
from vaa.errors import VaaError
from vaa.evaluation import metrics as numbers
from vaa.evaluation.evaluation import Evaluation
from vaa.pipeline import RunResult, analyse
from vaa.report import files, finish, notices, plots
from vaa.streaming import watch as online
from vaa.tracking.run import Tracked
from vaa.types import Dataset

log = logging.getLogger("vaa")


def run(parts: dict[str, Any], dataset: Dataset, folder: Path, tracked: Tracked) -> dict[str, Any]:
    """Analyse, write what was found before anything is counted, evaluate, show, log; the numbers of the run."""
    if parts["page"] and not parts["details"]:
        raise VaaError("page: it is drawn from scores/ and reports/, which details=false leaves out. Add page=null.")
    stages, videos, protocol = parts["stages"], dataset.videos[: parts["limit"]], parts["protocol"]
    warnings = notices.notices(stages.values(), dataset.name)
    result = analyse(videos, dataset.truths, stages, parts["engine"], AnswerCache(parts["cache"]), _last.get("outcome"))
    _last["outcome"] = result
    for failure in dataset.failures:
        result.fail(failure.video, failure.stage, failure.reason)
    with files.written(folder):
        files.write(folder, result, warnings, parts["details"])
        if parts["details"]:
            files.write_truth(folder, result, dataset, protocol)
    metrics = numbers.numbers(result, dataset, protocol, parts["meteor_jar"])
    with files.written(folder):
        files.write_metrics(folder, metrics)  # after all that they were made from: a folder with numbers is whole
        if parts["plots"]:
            plots.overview(folder / "overview.png", result, dataset, protocol, warnings)
        finish.finish(folder, result, protocol, metrics, parts["alerts"], parts["page"])
    tracked.log(metrics, warnings, Evaluation(result, dataset, protocol, parts["decoder"]))
    return metrics


_last: dict[str, RunResult] = {}
"""The run before this one in the same process: the jobs of a multirun share what they begin with."""


def watch(parts: dict[str, Any], folder: Path) -> None:
    """The same for a stream, as long as it lasts: scores are shown and written as they come, nothing is counted."""
    stream, stages = parts["data"], parts["stages"]
    for notice in notices.notices(stages.values(), stream.name):
        log.warning("%s", notice)
    with files.written(folder):
        online.watch(stream, stages, parts["engine"], folder, parts["alerts"].threshold)
