"""A full disk: under the memo, under the results, under W&B."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import runs
from faults import Counting

from vaa.errors import OutputError
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report.alerts import AlertRule
from vaa.report.page.build import Page
from vaa.report.runs import Run
from vaa.types import Dataset, Report, ScoreTrack, Video

pytestmark = pytest.mark.slow


def enlarge(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_a_full_disk_under_the_memo_keeps_what_was_answered(
    tmp_path: Path, disk: Path, world: str, verdicts: runs.Started
) -> None:
    given = (*runs.COREVAD, world, "cache=disk/memo.sqlite")
    first = runs.run(tmp_path, "full", *given, status=1)
    assert "cache=disk/memo.sqlite: database or disk is full. Free the disk and run again" in first.said
    assert "Traceback" not in first.said
    enlarge(disk, "50m")
    again = runs.run(tmp_path, "again", *given)
    assert runs.result(again) == runs.result(verdicts)
    asked = again.metrics["model_queries"] + again.metrics["embedding_queries"]
    assert asked < verdicts.metrics["model_queries"] + verdicts.metrics["embedding_queries"]


def fill(disk: Path) -> None:
    with (disk / "balloon").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1024)):
            pass


def test_a_full_disk_under_the_results_costs_no_answer(
    tmp_path: Path, disk: Path, world: str, verdicts: runs.Started
) -> None:
    enlarge(disk, "1m")
    log, gate = tmp_path / "asked.jsonl", tmp_path / "gate"
    started = runs.start(tmp_path, "disk/job", *runs.COREVAD, world, fault=Counting(log, gate))
    assert runs.until(started, log.is_file)
    fill(disk)
    gate.touch()
    assert started.end() == 1
    assert "cannot be written (No space left on device)" in started.said
    assert "Answers are cached" in started.said
    assert not (started.folder / "metrics.json").exists()
    assert not list(started.folder.rglob(".*.tmp"))
    for file in started.folder.rglob("*.json"):
        json.loads(file.read_bytes())
    (disk / "balloon").unlink()
    again = runs.run(tmp_path, "disk/job", *runs.COREVAD, world)
    assert runs.result(again) == runs.result(verdicts)
    assert again.metrics["model_queries"] == 0


def test_a_full_disk_under_wandb_costs_no_result(
    tmp_path: Path, disk: Path, world: str, verdicts: runs.Started
) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/wandb").symlink_to(disk)
    (disk / "balloon").write_bytes(bytes(120 * 1024))
    started = runs.start(tmp_path, "job", *runs.COREVAD, world, WANDB_MODE="offline")
    assert started.end(within=200) == 0
    assert runs.result(started) == runs.result(verdicts)
    assert "W&B: " in started.said


def test_a_full_disk_leaves_no_half_page_and_no_half_alerts(disk: Path, verdicts: runs.Started) -> None:
    enlarge(disk, "3m")  # too small for the chart library, large enough for all else
    run = Run(Path(shutil.copytree(verdicts.folder, disk / "job")))
    whole = {name: (run.folder / name).read_bytes() for name in ("alerts.json", "alerts.csv")}
    (run.folder / "report.html").write_text("of before")
    with pytest.raises(OSError, match="No space left"):
        Page(copy=False).write(run)
    assert not (run.folder / "report.html").exists()
    assert not list(run.folder.rglob("plotly.js"))
    fill(disk)
    rule = AlertRule(threshold=0.0, gap=0.0, shortest=0.0)
    protocol = Protocol(name="p", labels=None, end_inclusive=True, precision="float64", pad=0.0)
    loud = Report(Video("v", Path("v.mp4"), 100, 10.0), track=ScoreTrack(np.ones(100), np.arange(100)))
    evaluation = evaluate(result=RunResult({"v": loud}), dataset=Dataset("d", (), {}, ()), protocol=protocol)
    with pytest.raises(OSError, match="No space left"):
        rule.write(run.folder, evaluation)
    assert {name: (run.folder / name).read_bytes() for name in whole} == whole
    assert not list(run.folder.rglob(".*.tmp"))


@pytest.mark.parametrize("module", ["vaa.compare", "vaa.report.page"])
def test_a_command_that_cannot_write_says_so(disk: Path, verdicts: runs.Started, module: str) -> None:
    enlarge(disk, "1m")
    folder = Path(shutil.copytree(verdicts.folder, disk / "job"))
    fill(disk)
    words = [str(folder), *(["--out", str(disk / "table.md")] if module == "vaa.compare" else [])]
    done = subprocess.run([sys.executable, "-m", module, *words], cwd=runs.HOUSE, capture_output=True, text=True)
    assert done.returncode == {"vaa.compare": 1, "vaa.report.page": OutputError.exit_status}[module], done.stdout
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (disk / "table.md").exists()
