"""The same command on the same inputs gives the same bytes, whatever the batch size and the number of workers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import runs

from vaa.process import PROJECT_ROOT

pytestmark = pytest.mark.slow
PLAIN = (*runs.COREVAD, "cache=null")


@pytest.mark.parametrize(
    "overrides",
    [
        ("vlm.batch_size=1", "encoder.batch_size=1"),
        ("vlm.batch_size=3", "encoder.batch_size=3", "workers=2"),
        ("vlm.batch_size=16", "encoder.batch_size=16"),
    ],
    ids=" ".join,
)
def test_batch_size_and_workers_change_no_byte(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess, overrides: tuple[str, ...]
) -> None:
    process = runs.run(tmp_path, "again", *PLAIN, rendered, *overrides)
    assert runs.results(process) == runs.results(corevad_run)
    assert process.metrics == corevad_run.metrics  # and the counters, since there is no cache


@pytest.mark.long
def test_batch_size_changes_no_byte_with_three_models(tmp_path: Path, rendered: str, urf_run: runs.RunProcess) -> None:
    process = runs.run(tmp_path, "again", *runs.URF, rendered, "vlm.batch_size=1", "llm.batch_size=3", "cache=null")
    assert runs.results(process) == runs.results(urf_run)


def test_the_order_of_files_changes_no_byte(tmp_path: Path, rendered: str, corevad_run: runs.RunProcess) -> None:
    clips = sorted(Path(rendered.removeprefix("data.cache_dir=")).glob("*/*.mp4"))
    assert len(clips) == 2
    processes = []
    for name, order in (("one", clips), ("other", clips[::-1])):
        (tmp_path / name / "clips").mkdir(parents=True)
        for clip in order:
            shutil.copy(clip, tmp_path / name / "clips")
        overrides = [field for field in PLAIN if not field.startswith("data.")]
        processes.append(runs.run(tmp_path / name, "job", *overrides, "data=folder", "data.root=clips"))
    assert runs.results(processes[0]) == runs.results(processes[1])


def test_the_folder_of_a_run_records_how_to_repeat_it(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    folder = corevad_run.folder
    environment = orjson.loads((folder / "environment.json").read_bytes())
    assert {"torch", "transformers", "numpy", "av", "hydra-core"} <= environment["libraries"].keys()
    if (PROJECT_ROOT / ".git").exists():
        kind = subprocess.run(
            ["git", "cat-file", "-t", environment["commit"]], cwd=PROJECT_ROOT, capture_output=True, check=True
        )
        assert kind.stdout == b"commit\n"
    assert environment["changed"] == (folder / "changes.diff").is_file()
    command = (folder / "rerun.sh").read_text()
    assert command.startswith(f"#!/bin/sh\ncd {corevad_run.cwd} && python ")
    assert command.endswith(' "$@"\n')
    assert rendered in command
    secrets = {name: value for name, value in os.environ.items() if "KEY" in name or "TOKEN" in name}
    for file in ("rerun.sh", "environment.json"):
        assert not [name for name, value in secrets.items() if len(value) > 8 and value in (folder / file).read_text()]


def test_rerun_sh_gives_the_same_bytes(tmp_path: Path, corevad_run: runs.RunProcess) -> None:
    script = shutil.copy(corevad_run.folder / "rerun.sh", tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.run(
        ["sh", script, f"hydra.run.dir={tmp_path / 'again'}", "cache=null"],
        cwd=tmp_path,
        # As many threads as the other run: the last bits depend on their number on some processors (AVX2).
        env=os.environ | {"PATH": path, "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    process = runs.RunProcess(None, tmp_path, tmp_path / "again")
    assert process.metrics == corevad_run.metrics  # and the counters, since nothing was cached
    assert (process.folder / "metrics.json").read_bytes() == (corevad_run.folder / "metrics.json").read_bytes()
    assert runs.results(process) == runs.results(corevad_run)


def test_max_failed_limits_the_share_of_failed_videos(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    shutil.copytree(next(Path(rendered.removeprefix("data.cache_dir=")).glob("*/")), tmp_path / "clips")
    (tmp_path / "clips/broken.mp4").write_text("no video")
    overrides = [field for field in PLAIN if not field.startswith("data.")] + ["data=folder", "data.root=clips"]
    refused = runs.run(tmp_path, "refused", *overrides, "max_failed=0.3", status=3)
    assert "1 of 3 videos failed, more than max_failed=0.3" in refused.output
    allowed = runs.run(tmp_path, "allowed", *overrides, "max_failed=0.34")
    assert allowed.metrics["failed_share"] == pytest.approx(1 / 3)
    assert runs.results(allowed) == runs.results(refused)
