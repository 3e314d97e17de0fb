"""Real runs of run.py to do harm to: processes of their own, forked from one that has the libraries loaded."""

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

HOUSE = Path(__file__).parents[2]
BATCH = 4
COUNTED = {"model_queries", "cache_hits", "embedding_queries", "embedding_cache_hits"}
SMALL = ("data.videos=2", "data.seconds=10", "plots=false", "page=null", "cache=memo.sqlite", "workers=0")
URF = ("experiment=urf_tiny", f"vlm.batch_size={BATCH}", f"llm.batch_size={BATCH}", *SMALL)
COREVAD = ("vlm.batch_size=2", "encoder.batch_size=8", *SMALL)
CONTEXT = multiprocessing.get_context("forkserver")
Fault = Callable[[], None]


@dataclass(frozen=True)
class Started:
    """A run under way in `cwd`, whose results go to `folder`."""

    process: Any
    cwd: Path
    folder: Path

    def end(self, within: float = 400.0) -> int:
        """Its exit status, or minus the signal that killed it."""
        self.process.join(within)
        assert self.process.exitcode is not None, f"still running after {within} s:\n{self.said}"
        return int(self.process.exitcode)

    @property
    def said(self) -> str:
        file = _out(self.cwd, self.folder)
        return file.read_text(errors="replace") if file.is_file() else ""

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = json.loads((self.folder / "metrics.json").read_text())
        return found


def start(cwd: Path, name: str, *overrides: str, fault: Fault | None = None, **environment: str) -> Started:
    """Begin `python run.py OVERRIDES` in `cwd`; `fault` is done to the process first."""
    folder = cwd / name
    given = (cwd, folder, [*overrides, f"hydra.run.dir={name}"], fault, {"WANDB_MODE": "disabled", **environment})
    process = CONTEXT.Process(target=_run, args=given)
    process.start()
    return Started(process, cwd, folder)


def run(cwd: Path, name: str, *overrides: str, status: int = 0, fault: Fault | None = None, **env: str) -> Started:
    """The same, to its end, which must be `status`."""
    started = start(cwd, name, *overrides, fault=fault, **env)
    assert started.end() == status, started.said
    return started


def _run(cwd: Path, folder: Path, overrides: Sequence[str], fault: Fault | None, environment: dict[str, str]) -> None:
    os.chdir(cwd)
    os.environ |= environment
    out = os.open(_out(cwd, folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(out, 1)
    os.dup2(out, 2)
    torch.set_num_threads(1)  # a forked process makes its threads anew: once, before several ask for them
    sys.argv = [str(HOUSE / "run.py"), *overrides]
    if fault is not None:
        fault()
    runpy.run_path(sys.argv[0], run_name="__main__")


def _out(cwd: Path, folder: Path) -> Path:
    """What it says; not in its folder, where there may be no room."""
    return cwd / (folder.relative_to(cwd).as_posix().replace("/", "_") + ".out")


def result(started: Started) -> dict[str, Any]:
    """All that a run found, byte for byte; how much of it was remembered is set aside."""
    folder, found = started.folder, {}
    for file in _files(folder):
        found[file.relative_to(folder).as_posix()] = file.read_bytes()
    found["metrics.json"] = {key: value for key, value in started.metrics.items() if key not in COUNTED}
    return found


def _files(folder: Path) -> Iterator[Path]:
    for name in ("failures.json", "notices.json", "truth.json", "alerts.json", "alerts.csv"):
        yield folder / name
    for part in ("scores", "reports"):
        yield from sorted((folder / part).iterdir())


def remembered(cwd: Path) -> int:
    """Answers in the memo."""
    try:
        db = sqlite3.connect(f"file:{cwd / 'memo.sqlite'}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM answers").fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:  # not there yet
        return 0


def until(started: Started, seen: Callable[[], bool], within: float = 300.0) -> bool:
    """Wait for something to be seen of a run; False where the run ended without it."""
    end = time.monotonic() + within
    while not seen():
        if not started.process.is_alive():
            return seen()
        assert time.monotonic() < end, started.said
        time.sleep(0.01)
    return True
