"""Own videos through run.py, as a person runs them: no labels, no metrics, but intervals, files and the page."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from making import make_clip

from vaa.errors import VaaError
from vaa.report.page.build import Page
from vaa.report.runs import Run

pytestmark = pytest.mark.slow
HOUSE = Path(__file__).parents[2]


def run(folder: Path, *overrides: str, status: int = 0) -> str:
    command = [sys.executable, str(HOUSE / "run.py"), "data=folder", "data.root=clips", "cache=memo.sqlite", *overrides]
    environment = {**os.environ, "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def _numbers(folder: Path) -> dict[str, float]:
    """Without what tells whether the answers were there before."""
    found = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in found.items() if not name.endswith(("_asked", "_remembered"))}


def test_own_videos_end_with_intervals_files_and_a_page(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/yard.mp4", 60)
    asked = ["hydra.run.dir=run", "alerts.threshold=0.0", "plots=false"]
    said = run(tmp_path, *asked)
    assert "auc" not in said
    assert "ERROR" not in said
    assert "1 suspicious interval in 1 video: the score is at least 0 (alerts.threshold, a plain choice" in said
    assert "yard  0:00:00-0:00:06  highest " in said
    assert f"to look at: {tmp_path / 'run/report.html'}" in said
    assert set(json.loads((tmp_path / "run/metrics.json").read_text())) & {"roc_auc", "pr_auc", "ap"} == set()
    whole = json.loads((tmp_path / "run/alerts.json").read_text())
    (alert,) = whole["alerts"]
    assert (whole["threshold"], alert["from"], alert["to"], bool(alert["what"])) == (0.0, "0:00:00", "0:00:06", True)
    with (tmp_path / "run/alerts.csv").open() as file:
        assert [row["video"] for row in csv.DictReader(file)] == ["yard"]
    assert "../clips/yard.mp4" in (tmp_path / "run/page/videos/0.js").read_text()
    bare = ["hydra.run.dir=bare", "alerts.threshold=2", "plots=false", "details=false"]
    assert "page: it is drawn from scores/ and reports/" in run(tmp_path, *bare, status=1)
    said = run(tmp_path, *bare, "page=null")
    assert "0 suspicious intervals in 0 videos" in said
    told = {file.name for file in (tmp_path / "bare").glob("*") if file.suffix != ".diff"}
    files = ["alerts.csv", "metrics.json", "failures.json", "notices.json", "environment.json"]
    assert told == {*files, "alerts.json", "run.log", "rerun.sh", ".hydra"}
    assert _numbers(tmp_path / "bare") == _numbers(tmp_path / "run")
    with pytest.raises(VaaError, match=r"details=false.*rerun\.sh details=true"):
        Page(copy=False).write(Run(tmp_path / "bare"))
    with pytest.raises(VaaError, match=r"numbers alone .details=false"):
        Run(tmp_path / "bare").report("yard")
