"""Find the authors' released files, and run the batches of jobs that read them."""

from __future__ import annotations

import logging
import math
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vaa.errors import DataError, VaaError
from vaa.installation import CHECKOUT
from vaa.paper.rows import ReplayBatch
from vaa.process import PROJECT_ROOT
from vaa.report.runs import Run, find_runs

log = logging.getLogger("vaa")
_QUIET = ("cache=null", "plots=false", "page=null", "wandb.mode=disabled")
_MAX_OUTPUT = 1500  # characters of a failed batch's output that are shown


@dataclass(frozen=True)
class ReleasedFiles:
    """The folders and files that overrides name: `{urf}/ucf_crime`, `{corevad}`, `{labels_ucf}`, `{labels_xd}`.

    `verdict_ucf` is the name, without suffix, of CoReVAD's answers for UCF-Crime. `vadtree` and `probe` may not exist.
    """

    urf: Path
    corevad: Path
    verdict_ucf: str
    labels_ucf: Path
    labels_xd: Path
    vadtree: Path
    probe: Path

    def fill(self, override: str) -> str:
        """The override with paths in place of the names in braces."""
        return override.format(**asdict(self))


def find_files(folder: Path) -> ReleasedFiles:
    """Find the files in `folder`/{urf,corevad,vera,vadtree,probe}, copied there or downloaded by `vaa.data.fetch`.

    VADTree's and Probe-VAD's may be missing.

    Raises:
        DataError: files are missing; the message lists them with the commands that download them.
    """
    releases = {
        "urf": ("urf", ("urf", "urf/data"), "ucf_crime/annotations/test.txt"),
        "corevad": ("corevad", ("corevad", "corevad/outputs"), "VLM_responses*.json"),
        "labels_ucf": ("vera", ("vera", "vera/Data"), "UCF_Eval.json"),
        "labels_xd": ("vera", ("vera", "vera/Data"), "xd_test_800.json"),
    }
    paths, missing = {}, []
    for name, (release, subfolders, pattern) in releases.items():
        candidates = [folder / subfolder for subfolder in subfolders]
        matches = [candidate for candidate in candidates if any(candidate.glob(pattern))]
        if matches:
            paths[name] = (matches[0] / pattern if name.startswith("labels") else matches[0]).resolve()
        else:
            searched = ", ".join(map(str, candidates))
            missing.append(f"\n  {pattern}, not in {searched}: python -m vaa.data.fetch {release} {folder / release}")
    if missing:
        raise DataError(f"{folder}: released files are missing.{''.join(missing)}")
    # Fetched, the folder has the answers for both data sets.
    verdicts = sorted(paths["corevad"].glob("VLM_responses*.json"))
    (verdict_ucf, *_) = [file.stem for file in verdicts if not file.stem.endswith("_xd")] or [""]
    results = folder / "probe/results"
    probe = results if results.is_dir() else folder / "probe"
    return ReleasedFiles(
        **paths, verdict_ucf=verdict_ucf, vadtree=(folder / "vadtree").resolve(), probe=probe.resolve()
    )


def has_files(batch: ReplayBatch, files: ReleasedFiles) -> bool:
    """Whether the files that a batch needs are there; only batches with `optional` may lack them."""
    return not batch.optional or Path(files.fill(batch.optional)).exists()


def replay(batch: ReplayBatch, files: ReleasedFiles, folder: Path, keep: bool) -> dict[tuple[str, ...], Run]:
    """Run a batch in `folder`; returns the finished run of each job, by its swept overrides.

    With `keep`, a batch that is complete in `folder` is not run again.

    Raises:
        VaaError: run.py failed.
        DataError: a job's results are missing.
    """
    batch_folder = folder / batch.name
    started = (batch_folder / "multirun.yaml").is_file()
    if not (keep and started and len(_finished_runs(batch_folder)) == _job_count(batch)):
        if started:
            shutil.rmtree(batch_folder)
        _run(batch, files, batch_folder)
    keys = [override.split("=")[0] for override in batch.swept]
    runs = {_swept_overrides(run, keys): run for run in _finished_runs(batch_folder)}
    if len(runs) != _job_count(batch):
        raise DataError(
            f"{batch_folder}: {len(runs)} jobs, {_job_count(batch)} expected. Remove the folder and run again."
        )
    return runs


def command(batch: ReplayBatch, job: Collection[str]) -> str:
    """The command line of a job, for the page, with placeholders for the paths."""
    names = {
        "urf": "URF",
        "corevad": "COREVAD",
        "verdict_ucf": "VLM_responses_LRC",
        "vadtree": "VADTREE",
        "probe": "PROBE/results",
        "labels_ucf": "UCF_Eval.json",
        "labels_xd": "xd_test_800.json",
    }
    overrides = [*(override.format(**names) for override in batch.fixed), *job]
    return " ".join(["python run.py", *(f"'{each}'" if "[" in each else each for each in overrides)])


def _swept_overrides(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
    by_key = {override.split("=")[0]: override for override in run.overrides}
    return tuple(by_key[key] for key in keys if key in by_key)


def _run(batch: ReplayBatch, files: ReleasedFiles, batch_folder: Path) -> None:
    batch_folder.mkdir(parents=True, exist_ok=True)
    fixed = [files.fill(override) for override in batch.fixed]
    overrides = [*fixed, *batch.swept, *_QUIET, f"hydra.sweep.dir={batch_folder.resolve()}"]
    log.info("%s: %d jobs", batch.name, _job_count(batch))
    program = [str(PROJECT_ROOT / "run.py")] if CHECKOUT else ["-m", "vaa"]
    args = [sys.executable, *program, "-m", *overrides]
    process = subprocess.run(args, cwd=batch_folder, capture_output=True, text=True, check=False)
    if process.returncode:
        output = (process.stdout + process.stderr)[-_MAX_OUTPUT:]
        raise VaaError(f"{batch.name}: run.py ended with status {process.returncode}:\n{output}")


def _finished_runs(batch_folder: Path) -> list[Run]:
    return find_runs([batch_folder]) if any(batch_folder.rglob("metrics.json")) else []


def _job_count(batch: ReplayBatch) -> int:
    return math.prod(len(override.partition("=")[2].split(",")) for override in batch.swept)
