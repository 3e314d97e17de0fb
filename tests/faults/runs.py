"""Runs of run.py in other processes, which are forked from one that has imported the libraries."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vaa.process import PROJECT_ROOT

BATCH = 4
COUNTERS = {"model_queries", "cache_hits", "embedding_queries", "embedding_cache_hits"}
SMALL = ("data.videos=2", "data.seconds=10", "plots=false", "page=null", "cache=answers.sqlite", "workers=0")
URF = ("experiment=urf_tiny", f"vlm.batch_size={BATCH}", f"llm.batch_size={BATCH}", *SMALL)
COREVAD = ("method=corevad", "vlm.batch_size=2", "encoder.batch_size=8", *SMALL)
CONTEXT = multiprocessing.get_context("forkserver")
Fault = Callable[[], None]


@dataclass(frozen=True)
class RunProcess:
    """A run that was started in `cwd`, with its results in `folder`."""

    process: Any
    cwd: Path
    folder: Path

    def wait(self, timeout: float = 400.0) -> int:
        """The exit status, or minus the signal that killed the process."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running after {timeout} s:\n{self.output}"
        return int(self.process.exitcode)

    @property
    def output(self) -> str:
        file = _out(self.cwd, self.folder)
        return file.read_text(errors="replace") if file.is_file() else ""

    @property
    def metrics(self) -> dict[str, float]:
        metrics: dict[str, float] = json.loads((self.folder / "metrics.json").read_text())
        return metrics


def start(cwd: Path, name: str, *overrides: str, fault: Fault | None = None, **environment: str) -> RunProcess:
    """Start `python run.py OVERRIDES` in `cwd`, with a fault in its process."""
    folder = cwd / name
    args = (cwd, folder, [*overrides, f"hydra.run.dir={name}"], fault, {"WANDB_MODE": "disabled", **environment})
    process = CONTEXT.Process(target=_run, args=args)
    process.start()
    return RunProcess(process, cwd, folder)


def run(cwd: Path, name: str, *overrides: str, status: int = 0, fault: Fault | None = None, **env: str) -> RunProcess:
    """Start a run and wait until it ends with `status`."""
    process = start(cwd, name, *overrides, fault=fault, **env)
    assert process.wait() == status, process.output
    return process


def _run(cwd: Path, folder: Path, overrides: Sequence[str], fault: Fault | None, environment: dict[str, str]) -> None:
    os.chdir(cwd)
    os.environ |= environment
    out = os.open(_out(cwd, folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(out, 1)
    os.dup2(out, 2)
    torch.set_num_threads(1)  # a forked process has no threads: create them once, before several threads need them
    sys.argv = [str(PROJECT_ROOT / "run.py"), *overrides]
    if fault is not None:
        fault()
    runpy.run_path(sys.argv[0], run_name="__main__")


def _out(cwd: Path, folder: Path) -> Path:
    """The file of the output; not in the run's folder, since that disk may be full."""
    return cwd / (folder.relative_to(cwd).as_posix().replace("/", "_") + ".out")


def results(run: RunProcess) -> dict[str, Any]:
    """The bytes of all result files; of metrics.json the values without COUNTERS, which depend on the cache."""
    contents: dict[str, Any] = {
        file.relative_to(run.folder).as_posix(): file.read_bytes() for file in _files(run.folder)
    }
    contents["metrics.json"] = {key: value for key, value in run.metrics.items() if key not in COUNTERS}
    return contents


def _files(folder: Path) -> Iterator[Path]:
    for name in ("failures.json", "notices.json", "truth.json", "alerts.json", "alerts.csv"):
        yield folder / name
    for part in ("scores", "reports"):
        yield from sorted((folder / part).iterdir())


def cached_answers(cwd: Path) -> int:
    """The number of answers in the cache."""
    try:
        db = sqlite3.connect(f"file:{cwd / 'answers.sqlite'}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM answers").fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:  # the file does not exist yet
        return 0


def wait_until(run: RunProcess, condition: Callable[[], bool], timeout: float = 300.0) -> bool:
    """Wait until a condition holds; False if the run ends first."""
    end = time.monotonic() + timeout
    while not condition():
        if not run.process.is_alive():
            return condition()
        assert time.monotonic() < end, run.output
        time.sleep(0.01)
    return True
