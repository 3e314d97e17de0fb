"""The batches run by run.py, and each job found again in its folder."""

from __future__ import annotations

import logging
import math
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from vaa.errors import VaaError
from vaa.paper.recorded import ReleasedFiles
from vaa.paper.rows import ReplayBatch
from vaa.process import PROJECT_ROOT
from vaa.report.runs import Run, find

log = logging.getLogger("vaa")
RUN = PROJECT_ROOT / "run.py"
_QUIET = ("cache=null", "plots=false", "page=null", "wandb.mode=disabled")
_LAST = 1500  # characters of what a failed batch said


def replay(batch: ReplayBatch, files: ReleasedFiles, folder: Path, keep: bool) -> dict[tuple[str, ...], Run]:
    """Swept overrides -> run of each job; a finished batch in `folder` is taken as it is only where asked to `keep` it.

    Raises:
        VaaError: run.py ended badly, or a job is missing.
    """
    where = folder / batch.name
    if not (keep and (where / "multirun.yaml").is_file() and len(_jobs(where)) == _count(batch)):
        if (where / "multirun.yaml").is_file():
            shutil.rmtree(where)
        _run(batch, files, where)
    keys = [word.split("=")[0] for word in batch.swept]
    found = {job(run, keys): run for run in _jobs(where)}
    if len(found) != _count(batch):
        raise VaaError(f"{where}: {len(found)} jobs, {_count(batch)} expected. Remove the folder and run again.")
    return found


def job(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    """What was swept in this run, in the order of `keys`."""
    said = {override.split("=")[0]: override for override in run.overrides}
    return tuple(said[key] for key in keys if key in said)


def command(batch: ReplayBatch, words: Collection[str]) -> str:
    """The job of a batch as one would type it; roots in capitals."""
    return " ".join(["python run.py", *_named(batch.fixed), *words])


def _named(overrides: Collection[str]) -> list[str]:
    names = {"urf": "URF", "corevad": "COREVAD", "labels_ucf": "UCF_Eval.json", "labels_xd": "xd_test_800.json"}
    return [override.format(**names) for override in overrides]


def _run(batch: ReplayBatch, files: ReleasedFiles, where: Path) -> None:
    where.mkdir(parents=True, exist_ok=True)
    fixed = [files.filled(override) for override in batch.fixed]
    words = [sys.executable, str(RUN), "-m", *fixed, *batch.swept, *_QUIET, f"hydra.sweep.dir={where.resolve()}"]
    log.info("%s: %d jobs", batch.name, _count(batch))
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VaaError(
            f"{batch.name}: run.py ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-_LAST:]}"
        )


def _jobs(where: Path) -> list[Run]:
    return find([where]) if any(where.rglob("metrics.json")) else []


def _count(batch: ReplayBatch) -> int:
    return math.prod(len(word.partition("=")[2].split(",")) for word in batch.swept)
