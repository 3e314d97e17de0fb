"""Several runs at the same time: Hydra's launchers, and two runs with the same cache."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from vaa.process import PROJECT_ROOT

pytestmark = pytest.mark.slow
# Few and short videos, and no generated text: only the number of runs matters here.
SMALL = ["method=plain", "stages.query=null", "readout=eleven", "data.videos=2", "data.seconds=10"]
SMALL += ["plots=false", "page=null"]


def start(folder: Path, *overrides: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "run.py"), *overrides, *SMALL],
        cwd=folder,
        # A launcher's jobs start in another folder: they import vaa like an installed package.
        env={**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(PROJECT_ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def scores(folder: Path) -> dict[str, dict[str, float]]:
    return {file.name: json.loads(file.read_text()) for file in sorted((folder / "scores").iterdir())}


def jobs(folder: Path) -> list[Path]:
    return sorted(file.parent for file in (folder / "outputs/plain").glob("*/[0-9]*/metrics.json"))


@pytest.mark.long
def test_submitit_runs_the_jobs_of_a_sweep_in_parallel(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    # By default .submitit/%j, which is created after the process that writes there.
    folder = "hydra.launcher.submitit_folder=${hydra.sweep.dir}/.submitit"
    launcher = ["-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10", folder]
    wait_for(start(tmp_path, *launcher, "smoothing=none,gaussian9"))
    plain, smooth = (scores(job) for job in jobs(tmp_path))
    assert plain.keys() == smooth.keys()
    assert len(plain) == 2
    assert plain != smooth


@pytest.mark.long
def test_joblib_runs_the_jobs_and_gives_each_process_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    launcher = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "cache=null"]
    wait_for(start(tmp_path, *launcher, "smoothing=none,gaussian9", CUDA_VISIBLE_DEVICES="4,6"))
    folders = jobs(tmp_path)
    assert len(folders) == 2
    gpus = [re.findall(r"sees GPU (\d) only", (job / "run.log").read_text()) for job in folders]
    assert {gpu for (gpu,) in gpus} <= {"4", "6"}  # one of them if the first process was fast enough to get both jobs


@pytest.mark.long
def test_two_runs_can_share_a_cache_at_the_same_time(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "answers.sqlite"
    wait_for(start(tmp_path, "doctor=true"))  # so that both runs start with files in the page cache
    both = [start(tmp_path, f"cache={cache}", f"hydra.run.dir=outputs/{name}") for name in "ab"]
    for output in [wait_for(process) for process in both]:
        assert "locked" not in output
    assert scores(tmp_path / "outputs/a") == scores(tmp_path / "outputs/b")
    counts = [json.loads((tmp_path / f"outputs/{name}/metrics.json").read_text()) for name in "ab"]
    with sqlite3.connect(cache) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (rows,) = db.execute("SELECT count(*) FROM answers").fetchone()
    db.close()
    for count in counts:  # each answer is cached once, by either run
        assert count["model_queries"] + count["cache_hits"] == rows
    wait_for(start(tmp_path, f"cache={cache}", "hydra.run.dir=outputs/c"))
    assert scores(tmp_path / "outputs/c") == scores(tmp_path / "outputs/a")
    assert json.loads((tmp_path / "outputs/c/metrics.json").read_text())["model_queries"] == 0
