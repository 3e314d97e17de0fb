"""Videos without labels through run.py: no metrics, but alerts, files and the page."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from making import make_clip

from vaa.errors import ConfigError, DataError
from vaa.process import PROJECT_ROOT
from vaa.report.page.build import Page
from vaa.report.runs import Run

pytestmark = pytest.mark.slow


def run(folder: Path, *overrides: str, status: int = 0) -> str:
    command = [
        sys.executable,
        str(PROJECT_ROOT / "run.py"),
        "method=corevad",
        "data=folder",
        "data.root=clips",
        "cache=memo.sqlite",
        *overrides,
    ]
    environment = {**os.environ, "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert process.returncode == status, process.stdout + process.stderr
    return process.stdout + process.stderr


def _numbers(folder: Path) -> dict[str, float]:
    """The metrics without the numbers that depend on the cache."""
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if not name.endswith(("_queries", "_hits"))}


def test_videos_without_labels_give_alerts_files_and_a_page(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/yard.mp4", 60)
    overrides = ["hydra.run.dir=run", "alerts.threshold=0.0", "plots=false"]
    output = run(tmp_path, *overrides)
    assert "auc" not in output
    assert "ERROR" not in output
    assert "1 alert in 1 video (threshold 0, not tuned)" in output
    assert "yard  0:00:00-0:00:06  highest " in output
    assert f"page: {tmp_path / 'run/report.html'}" in output
    assert set(json.loads((tmp_path / "run/metrics.json").read_text())) & {"roc_auc", "pr_auc"} == set()
    content = json.loads((tmp_path / "run/alerts.json").read_text())
    (alert,) = content["alerts"]
    assert (content["threshold"], alert["from"], alert["to"], bool(alert["text"])) == (0.0, "0:00:00", "0:00:06", True)
    with (tmp_path / "run/alerts.csv").open() as file:
        assert [row["video"] for row in csv.DictReader(file)] == ["yard"]
    assert "../clips/yard.mp4" in (tmp_path / "run/page/videos/0.js").read_text()
    bare = ["hydra.run.dir=bare", "alerts.threshold=1", "plots=false", "details=false"]
    assert "add page=null" in run(tmp_path, *bare, status=ConfigError.exit_status)
    output = run(tmp_path, *bare, "page=null")
    assert "0 alerts in 0 videos" in output
    written = {file.name for file in (tmp_path / "bare").glob("*") if file.suffix != ".diff"}
    files = ["alerts.csv", "metrics.json", "failures.json", "notices.json", "environment.json"]
    assert written == {*files, "alerts.json", "performance.json", "run.log", "rerun.sh", ".hydra"}
    assert _numbers(tmp_path / "bare") == _numbers(tmp_path / "run")
    with pytest.raises(DataError, match=r"details=false.*rerun\.sh details=true"):
        Page(copy=False).write(Run(tmp_path / "bare"))
    with pytest.raises(DataError, match=r"details=false"):
        _ = Run(tmp_path / "bare").videos
