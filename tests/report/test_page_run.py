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

pytestmark = pytest.mark.slow
HOUSE = Path(__file__).parents[2]


def run(folder: Path, *overrides: str) -> str:
    command = [sys.executable, str(HOUSE / "run.py"), "data=folder", "data.root=clips", "memo=memo.sqlite", *overrides]
    environment = {**os.environ, "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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
    said = run(tmp_path, "hydra.run.dir=bare", "page=null", "alerts.threshold=2", "plots=false")
    assert "0 suspicious intervals in 0 videos" in said
    assert not (tmp_path / "bare/report.html").exists()
