"""`python -m vaa.export`: what it prints, and runs that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from author_files import write_data_set, write_json
from in_process import run

from vaa.errors import ConfigError, DataError
from vaa.export.__main__ import main, named


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A run of method=scored."""
    lengths = write_data_set(tmp_path / "data", np.random.default_rng(9), 4)
    for name, n in lengths.items():
        write_json(tmp_path / f"data/scores/{name}.json", {str(at): at / n for at in range(0, n, 16)})
    roots = (f"data.root={tmp_path / 'data'}", f"scores.root={tmp_path / 'data/scores'}")
    return run(tmp_path / "run", "method=scored", "data=ucf_crime", *roots)


def test_only_files_with_content_are_written_and_each_is_named(
    scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(scored), "--layout", "urf"]) == 0
    out = scored / "export/urf"
    assert capsys.readouterr().out == f"written to {out}:\n  scores/vaa/ (4 files)\n"
    assert {file.parent for file in out.rglob("*.json")} == {out / "scores/vaa"}
    assert main([str(scored), "--layout", "lavad"]) == 0
    assert "scores/raw/vaa/vaa/ (4 files)" in capsys.readouterr().out


def test_single_files_are_named_one_by_one() -> None:
    names = ["captions/m/a.json", "scores/m/a.json", "scores/m/b.json", "scores/m/c.json", "scores/m/d.json"]
    assert named([*names, "understanding/m.json"]) == [
        "captions/m/a.json",
        "scores/m/ (4 files)",
        "understanding/m.json",
    ]


def test_a_folder_with_files_is_refused_and_left_as_it_is(
    scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine.txt").touch()
    assert main([str(scored), "--layout", "urf", "--out", str(tmp_path / "used")]) == ConfigError.exit_status
    assert "exists and is not empty" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "used").iterdir()] == ["mine.txt"]


def test_a_run_that_lacks_what_a_layout_needs_is_named_and_nothing_is_written(
    scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (scored / "reports").glob("*.json"):
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "stages": {"read": {"tags": ""}}}))
    for layout, missing in (("urf", "no captions, scores, tags"), ("lavad", "no descriptions and no scores")):
        assert main([str(scored), "--layout", layout, "--out", str(tmp_path / "out")]) == DataError.exit_status
        assert missing in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_scores_that_are_not_equally_spaced_are_refused(
    scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sorted((scored / "reports").glob("*.json"))[-1]
    content = json.loads(file.read_text())
    content["stages"]["read"]["track"] = {"starts": [0, 16, 40], "values": [0.1, 0.2, 0.3], "stop": 64, "step": None}
    file.write_text(json.dumps(content))
    assert main([str(scored), "--layout", "urf", "--out", str(tmp_path / "out")]) == DataError.exit_status
    assert f"'{file.stem}' do not begin every 16 frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--layout", "urf"]) == DataError.exit_status
    assert "no run of vaa" in capsys.readouterr().err
