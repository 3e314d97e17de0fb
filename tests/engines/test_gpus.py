from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from vaa.process import assign_gpu


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "to be restored")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def seen_by(name: str, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(multiprocessing.current_process(), "name", name)
    assign_gpu()
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(("number", "gpu"), [(1, "4"), (2, "6"), (3, "4")])
def test_processes_take_turns_at_the_gpus_that_were_given(
    number: int, gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "4,6"
    assert seen_by(f"LokyProcess-{number}", monkeypatch) == gpu
    assert seen_by(f"LokyProcess-{number}", monkeypatch) == gpu  # its next job


def test_without_a_word_all_of_the_machines_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-a)'\necho 'GPU 1: H200 (UUID: GPU-b)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert seen_by("LokyProcess-2", monkeypatch) == "1"


@pytest.mark.parametrize(("name", "gpus"), [("MainProcess", "4,6"), ("LokyProcess-2", "4"), ("LokyProcess-2", "")])
def test_elsewhere_and_where_there_is_nothing_to_share_nothing_changes(
    name: str, gpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    assert seen_by(name, monkeypatch) == gpus
