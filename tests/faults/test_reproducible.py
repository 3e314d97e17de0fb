"""The same command on the same inputs: the same bytes, however they are cut into batches and whoever decodes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import runs

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
def test_batches_and_workers_change_no_byte(
    tmp_path: Path, world: str, verdicts: runs.Started, overrides: tuple[str, ...]
) -> None:
    found = runs.run(tmp_path, "again", *PLAIN, world, *overrides)
    assert runs.result(found) == runs.result(verdicts)
    assert found.metrics == verdicts.metrics  # the counts too: none of them had a memo


def test_three_models_one_after_the_other(tmp_path: Path, world: str, undisturbed: runs.Started) -> None:
    found = runs.run(tmp_path, "again", *runs.URF, world, "vlm.batch_size=1", "llm.batch_size=3", "cache=null")
    assert runs.result(found) == runs.result(undisturbed)


def test_the_order_of_files_changes_no_byte(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    clips = sorted(Path(world.removeprefix("data.root=")).glob("*/*.mp4"))
    assert len(clips) == 2
    found = []
    for name, order in (("one", clips), ("other", clips[::-1])):
        (tmp_path / name / "clips").mkdir(parents=True)
        for clip in order:
            shutil.copy(clip, tmp_path / name / "clips")
        given = [field for field in PLAIN if not field.startswith("data.")]
        found.append(runs.run(tmp_path / name, "job", *given, "data=folder", "data.root=clips"))
    assert runs.result(found[0]) == runs.result(found[1])


def test_a_run_can_be_done_again_from_its_folder(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    folder = verdicts.folder
    told = orjson.loads((folder / "environment.json").read_bytes())
    assert {"torch", "transformers", "numpy", "av", "hydra-core"} <= told["libraries"].keys()
    if (runs.HOUSE / ".git").exists():
        kind = subprocess.run(
            ["git", "cat-file", "-t", told["commit"]], cwd=runs.HOUSE, capture_output=True, check=True
        )
        assert kind.stdout == b"commit\n"
    assert told["changed"] == (folder / "changes.diff").is_file()
    command = (folder / "rerun.sh").read_text()
    assert command.startswith(f"#!/bin/sh\ncd {verdicts.cwd} && python ")
    assert command.endswith(' "$@"\n')
    assert world in command
    hidden = {name: value for name, value in os.environ.items() if "KEY" in name or "TOKEN" in name}
    for file in ("rerun.sh", "environment.json"):
        assert not [name for name, value in hidden.items() if len(value) > 8 and value in (folder / file).read_text()]


def test_what_rerun_sh_does_is_the_same_to_the_byte(tmp_path: Path, verdicts: runs.Started) -> None:
    script = shutil.copy(verdicts.folder / "rerun.sh", tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", script, f"hydra.run.dir={tmp_path / 'again'}", "cache=null"],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "WANDB_MODE": "disabled"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = runs.Started(None, tmp_path, tmp_path / "again")
    assert found.metrics == verdicts.metrics  # all was asked again, none of it remembered
    assert (found.folder / "metrics.json").read_bytes() == (verdicts.folder / "metrics.json").read_bytes()
    assert runs.result(found) == runs.result(verdicts)


def test_so_many_videos_may_fail(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    shutil.copytree(next(Path(world.removeprefix("data.root=")).glob("*/")), tmp_path / "clips")
    (tmp_path / "clips/broken.mp4").write_text("no video")
    given = [field for field in PLAIN if not field.startswith("data.")] + ["data=folder", "data.root=clips"]
    refused = runs.run(tmp_path, "refused", *given, "max_failed=0.3", status=3)
    assert "1 of 3 videos failed, more than max_failed=0.3" in refused.said
    allowed = runs.run(tmp_path, "allowed", *given, "max_failed=0.34")
    assert allowed.metrics["failed_share"] == pytest.approx(1 / 3)
    assert runs.result(allowed) == runs.result(refused)
