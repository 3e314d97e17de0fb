from __future__ import annotations

import os
from pathlib import Path

import pytest

from vaa.models.transformers import loading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "weights"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_is_known_by_what_is_in_it(folder: Path, tmp_path: Path, name: str) -> None:
    before = loading.identity(str(folder), None)
    os.utime(folder / name, ns=(1, 1))
    assert loading.identity(str(folder), None) == before
    content = bytearray((folder / name).read_bytes())
    content[0] ^= 1
    (folder / name).write_bytes(content)
    assert loading.identity(str(folder), None) != before


def test_a_new_or_renamed_file_is_another_checkpoint(folder: Path) -> None:
    known = {loading.identity(str(folder), None)}
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    known.add(loading.identity(str(folder), None))
    (folder / "adapter.json").touch()
    known.add(loading.identity(str(folder), None))
    assert len(known) == 3


def test_a_large_file_is_known_by_size_and_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_WHOLE", 4)
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    before = loading.identity(str(folder), None)
    assert loading.identity(str(folder), None) == before
    os.utime(weights, ns=(2, 2))
    assert loading.identity(str(folder), None) != before


def test_a_hub_name_is_known_by_its_revision() -> None:
    assert loading.identity("org/name", None) == "org/name@main"
    assert loading.identity("org/name", "abc") == "org/name@abc"


def test_a_relative_folder_is_the_users_then_the_projects_then_a_hub_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert loading.source("weights") == "weights"
    assert loading.source("vaa/stages") == str(Path(loading.__file__).parents[2] / "stages")
    assert loading.source("org/name") == "org/name"
