"""The table at the end of a multirun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from run_folders import make, videos

from vaa.compare.jobs import print_jobs
from vaa.compare.multirun import ERROR_FILE, RecordJobs
from vaa.errors import DataError, OutputError


def end_job(folder: Path, result: object) -> None:
    """Tell the callback that a job has ended, as Hydra does."""
    failed = isinstance(result, Exception)
    job = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
    job.return_value = result
    RecordJobs().on_job_end(OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}}}), job)


def test_the_table_has_settings_metrics_and_the_first_line_of_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in (0, 1, 10):
        make(tmp_path / str(k), *videos(k), choices={"smoothing": f"s{k}"}, overrides=[f"smoothing=s{k}"])
        end_job(tmp_path / str(k), None)
    (tmp_path / "10/metrics.json").unlink()
    end_job(tmp_path / "10", DataError("No such file: x.mp4.\nGive another one."))
    print_jobs(tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0] == ["job", "smoothing", "roc_auc", "pr_auc", "within_video_auc", "error"]
    auc = json.loads((tmp_path / "1/metrics.json").read_text())["roc_auc"]
    assert lines[2][:3] == ["1", "s1", f"{auc:.4f}"]
    assert lines[3] == ["10", "s10", "-", "-", "-", "No", "such", "file:", "x.mp4."]
    assert "2 of 3 jobs" in " ".join(lines[4])
    assert " ".join(lines[5]).startswith("Differences with intervals: python -m vaa.compare ")


def test_the_error_of_a_job_is_removed_when_it_succeeds_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    end_job(tmp_path, OutputError("another run is writing its results there"))
    assert not (tmp_path / ERROR_FILE).exists()
    end_job(tmp_path, ValueError("a bug"))
    assert "a bug" in (tmp_path / ERROR_FILE).read_text()
    end_job(tmp_path, None)
    assert not (tmp_path / ERROR_FILE).exists()


def test_without_a_job_nothing_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_jobs(tmp_path)
    assert capsys.readouterr().out == ""
