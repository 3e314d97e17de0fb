"""Several runs at once: Hydra's launchers as a user calls them, and one memo under two of them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HOUSE = Path(__file__).parents[1]
# Few and short videos, no text written: what is of interest is that there are two runs.
SMALL = ["method=plain", "stages.ask=null", "readout=eleven", "data.videos=2", "data.seconds=10"]
SMALL += ["plots=false", "page=null"]


def started(folder: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HOUSE / "run.py"), *overrides, *SMALL],
        cwd=folder,
        # A launcher's jobs start elsewhere: they find vaa as an installed one is found.
        env={**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(HOUSE), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=400)
    assert process.returncode == 0, out
    return out


def scores(folder: Path) -> dict[str, dict[str, float]]:
    return {file.name: json.loads(file.read_text()) for file in sorted((folder / "scores").iterdir())}


def jobs(folder: Path) -> list[Path]:
    return sorted(file.parent for file in (folder / "outputs/plain").glob("*/[0-9]*/metrics.json"))


def test_submitit_runs_the_jobs_of_a_sweep_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    # Not .submitit/%j, as it is by default: that folder is made after the process that writes there.
    folder = "hydra.launcher.submitit_folder=${hydra.sweep.dir}/.submitit"
    launcher = ["-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10", folder]
    ended(started(tmp_path, *launcher, "smoothing=none,gaussian9"))
    plain, smooth = (scores(job) for job in jobs(tmp_path))
    assert plain.keys() == smooth.keys()
    assert len(plain) == 2
    assert plain != smooth


def test_joblib_runs_them_and_gives_each_process_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    launcher = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "cache=null"]
    ended(started(tmp_path, *launcher, "smoothing=none,gaussian9", CUDA_VISIBLE_DEVICES="4,6"))
    found = jobs(tmp_path)
    assert len(found) == 2
    seen = [re.findall(r"sees GPU (\d) only", (job / "run.log").read_text()) for job in found]
    assert {gpu for (gpu,) in seen} <= {"4", "6"}  # both, unless one process was so quick that it got both jobs


def test_two_runs_on_one_memo_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "answers.sqlite"
    ended(started(tmp_path, "doctor=true"))  # draws nothing, but both are to begin with warm files
    both = [started(tmp_path, f"cache={cache}", f"hydra.run.dir=outputs/{name}") for name in "ab"]
    for said in [ended(process) for process in both]:
        assert "locked" not in said
    assert scores(tmp_path / "outputs/a") == scores(tmp_path / "outputs/b")
    counts = [json.loads((tmp_path / f"outputs/{name}/metrics.json").read_text()) for name in "ab"]
    with sqlite3.connect(cache) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (kept,) = db.execute("SELECT count(*) FROM answers").fetchone()
    db.close()
    for count in counts:  # every question is kept once, whoever asked it
        assert count["model_queries"] + count["cache_hits"] == kept
    ended(started(tmp_path, f"cache={cache}", "hydra.run.dir=outputs/c"))
    assert scores(tmp_path / "outputs/c") == scores(tmp_path / "outputs/a")
    assert json.loads((tmp_path / "outputs/c/metrics.json").read_text())["model_queries"] == 0
