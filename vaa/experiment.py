"""A composed run: analyse, write, count, show, log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from vaa.memo import Memo
from vaa.online import watch as online
from vaa.pipeline import Outcome, analyse
from vaa.report import files, finish, notices, numbers, plots
from vaa.report.tracking import Tracked
from vaa.report.wandb_found import Found
from vaa.types import Catalogue, VaaError

log = logging.getLogger("vaa")


def run(parts: dict[str, Any], catalogue: Catalogue, folder: Path, tracked: Tracked) -> dict[str, Any]:
    """Analyse, write what was found before anything is counted, evaluate, show, log; the numbers of the run."""
    if parts["page"] and not parts["details"]:
        raise VaaError("page: it is drawn from scores/ and reports/, which details=false leaves out. Add page=null.")
    stages, videos, protocol = parts["stages"], catalogue.videos[: parts["limit"]], parts["protocol"]
    warnings = notices.notices(stages.values(), catalogue.name)
    outcome = analyse(videos, catalogue.truths, stages, parts["engine"], Memo(parts["memo"]), _last.get("outcome"))
    _last["outcome"] = outcome
    for failure in catalogue.failures:
        outcome.fail(failure.video, failure.stage, failure.reason)
    with files.written(folder):
        files.write(folder, outcome, warnings, parts["details"])
        if parts["details"]:
            files.write_truth(folder, outcome, catalogue, protocol)
    metrics = numbers.numbers(outcome, catalogue, protocol, parts["meteor_jar"])
    with files.written(folder):
        files.write_metrics(folder, metrics)  # after all that they were made from: a folder with numbers is whole
        if parts["plots"]:
            plots.overview(folder / "overview.png", outcome, catalogue, protocol, warnings)
        finish.finish(folder, outcome, protocol, metrics, parts["alerts"], parts["page"])
    tracked.log(metrics, warnings, Found(outcome, catalogue, protocol, parts["reader"]))
    return metrics


_last: dict[str, Outcome] = {}
"""The run before this one in the same process: the jobs of a multirun share what they begin with."""


def watch(parts: dict[str, Any], folder: Path) -> None:
    """The same for a stream, as long as it lasts: scores are shown and written as they come, nothing is counted."""
    stream, stages = parts["data"], parts["stages"]
    for notice in notices.notices(stages.values(), stream.name):
        log.warning("%s", notice)
    with files.written(folder):
        online.watch(stream, stages, parts["engine"], folder, parts["alerts"].threshold)
