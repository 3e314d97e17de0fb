from __future__ import annotations

import os
from pathlib import Path

import pytest

from vaa.models.checkpoints import files, weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "weights"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_is_identified_by_its_contents(folder: Path, tmp_path: Path, name: str) -> None:
    before = weights.checkpoint_identity(str(folder), None)
    os.utime(folder / name, ns=(1, 1))
    assert weights.checkpoint_identity(str(folder), None) == before
    content = bytearray((folder / name).read_bytes())
    content[0] ^= 1
    (folder / name).write_bytes(content)
    assert weights.checkpoint_identity(str(folder), None) != before


def test_a_new_or_renamed_file_is_another_checkpoint(folder: Path) -> None:
    identities = {weights.checkpoint_identity(str(folder), None)}
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    identities.add(weights.checkpoint_identity(str(folder), None))
    (folder / "adapter.json").touch()
    identities.add(weights.checkpoint_identity(str(folder), None))
    assert len(identities) == 3


def test_a_large_file_is_identified_by_size_and_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_MAX_HASHED_BYTES", 4)
    large = folder / "model.safetensors"
    os.utime(large, ns=(1, 1))
    before = weights.checkpoint_identity(str(folder), None)
    assert weights.checkpoint_identity(str(folder), None) == before
    os.utime(large, ns=(2, 2))
    assert weights.checkpoint_identity(str(folder), None) != before


def test_a_hub_name_is_identified_by_its_revision() -> None:
    assert weights.checkpoint_identity("org/name", None) == "org/name@main"
    assert weights.checkpoint_identity("org/name", "abc") == "org/name@abc"


def test_a_relative_folder_is_looked_up_in_the_working_directory_then_in_the_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert files.resolve_checkpoint("weights") == "weights"
    assert files.resolve_checkpoint("vaa/stages") == str(Path(files.__file__).parents[2] / "stages")
    assert files.resolve_checkpoint("org/name") == "org/name"
