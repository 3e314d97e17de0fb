"""A full disk with the cache, the results or W&B's files."""

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
from alert_rules import alert_rule
from faults import LogBatches

from vaa.errors import CacheError, OutputError
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.process import PROJECT_ROOT
from vaa.report.page.build import Page
from vaa.report.runs import Run
from vaa.types import Dataset, Report, ScoreTrack, Video

pytestmark = pytest.mark.slow


def enlarge(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def test_with_the_cache_on_a_full_disk_earlier_answers_are_kept(
    tmp_path: Path, disk: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    overrides = (*runs.COREVAD, rendered, "cache=disk/answers.sqlite")
    first = runs.run(tmp_path, "full", *overrides, status=CacheError.exit_status)
    assert "disk/answers." in first.output
    assert "Free disk space and run again: " in first.output
    assert "Traceback" not in first.output
    enlarge(disk, "50m")
    again = runs.run(tmp_path, "again", *overrides)
    assert runs.results(again) == runs.results(corevad_run)
    queries = again.metrics["model_queries"] + again.metrics["embedding_queries"]
    assert queries < corevad_run.metrics["model_queries"] + corevad_run.metrics["embedding_queries"]


def fill(disk: Path) -> None:
    with (disk / "balloon").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1024)):
            pass


def test_with_the_results_on_a_full_disk_all_answers_are_kept(
    tmp_path: Path, disk: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    enlarge(disk, "1m")
    log, gate = tmp_path / "batches.jsonl", tmp_path / "gate"
    started = runs.start(tmp_path, "disk/job", *runs.COREVAD, rendered, fault=LogBatches(log, gate))
    assert runs.wait_until(started, log.is_file)
    fill(disk)
    gate.touch()
    assert started.wait() == OutputError.exit_status, started.output
    assert "cannot be written (No space left on device)" in started.output
    assert "Answers are cached" in started.output
    assert not (started.folder / "metrics.json").exists()
    assert not list(started.folder.rglob(".*.tmp"))
    for file in started.folder.rglob("*.json"):
        json.loads(file.read_bytes())
    (disk / "balloon").unlink()
    again = runs.run(tmp_path, "disk/job", *runs.COREVAD, rendered)
    assert runs.results(again) == runs.results(corevad_run)
    assert again.metrics["model_queries"] == 0


def test_with_wandb_on_a_full_disk_the_results_are_complete(
    tmp_path: Path, disk: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/wandb").symlink_to(disk)
    (disk / "balloon").write_bytes(bytes(120 * 1024))
    started = runs.start(tmp_path, "job", *runs.COREVAD, rendered, WANDB_MODE="offline")
    assert started.wait(timeout=200) == 0
    assert runs.results(started) == runs.results(corevad_run)
    assert "W&B: " in started.output


def test_a_full_disk_leaves_no_partial_page_or_alerts(disk: Path, corevad_run: runs.RunProcess) -> None:
    enlarge(disk, "3m")  # too small for the chart library, large enough for the rest
    run = Run(Path(shutil.copytree(corevad_run.folder, disk / "job")))
    earlier = {name: (run.folder / name).read_bytes() for name in ("alerts.json", "alerts.csv")}
    (run.folder / "report.html").write_text("an earlier page")
    with pytest.raises(OSError, match="No space left"):
        Page(copy=False).write(run)
    assert not (run.folder / "report.html").exists()
    assert not list(run.folder.rglob("plotly.js"))
    fill(disk)
    rule = alert_rule(threshold=0.0)
    protocol = Protocol(
        name="p",
        labels=None,
        end_inclusive=True,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    loud = Report(Video("v", Path("v.mp4"), 100, 10.0), track=ScoreTrack(np.ones(100), np.arange(100)))
    evaluation = evaluate(result=RunResult({"v": loud}), dataset=Dataset("d", (), {}, ()), protocol=protocol)
    with pytest.raises(OSError, match="No space left"):
        rule.write(run.folder, rule.find_all(evaluation))
    assert {name: (run.folder / name).read_bytes() for name in earlier} == earlier
    assert not list(run.folder.rglob(".*.tmp"))


@pytest.mark.parametrize("module", ["vaa.compare", "vaa.report.page"])
def test_a_command_that_cannot_write_reports_it(disk: Path, corevad_run: runs.RunProcess, module: str) -> None:
    enlarge(disk, "1m")
    folder = Path(shutil.copytree(corevad_run.folder, disk / "job"))
    fill(disk)
    args = [str(folder), *(["--out", str(disk / "table.md")] if module == "vaa.compare" else [])]
    process = subprocess.run([sys.executable, "-m", module, *args], cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert process.returncode == OutputError.exit_status, process.stdout
    assert "No space left on device" in process.stderr
    assert "Traceback" not in process.stderr
    assert not (disk / "table.md").exists()
