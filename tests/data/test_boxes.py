from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from vaa.data.boxes import main, read_boxes
from vaa.errors import DataError, OutputError
from vaa.types import Box

PLAIN = {"v": [["frames/v/000861.jpg", 77, 104, 141, 200], ["frames/v/frame_count000016.jpg", 1, 2, 3, 4]], "w": []}
READ = {"v": (Box(861, (77, 104, 141, 200), 1.0), Box(16, (1, 2, 3, 4), 1.0)), "w": ()}


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harmed",)


def test_plain_data_is_read_from_pickle_and_json(tmp_path: Path) -> None:
    (tmp_path / "boxes.pkl").write_bytes(pickle.dumps(PLAIN))
    assert main([str(tmp_path / "boxes.pkl"), str(tmp_path / "boxes.json")]) == 0
    assert read_boxes(tmp_path / "boxes.pkl") == read_boxes(tmp_path / "boxes.json") == READ
    assert json.loads((tmp_path / "boxes.json").read_text()) == PLAIN


@pytest.mark.parametrize("content", [Harmful(), {"v": Harmful()}, os.getcwd, Path("x")])
def test_a_pickle_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("boxes.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="plain data"):
        read_boxes(Path("boxes.pkl"))
    assert not Path("harmed").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1]), pickle.dumps({"v": [["x.jpg", 1, 2, 3, 4]]})])
def test_a_file_of_another_layout_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "boxes.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"boxes\.pkl"):
        read_boxes(tmp_path / "boxes.pkl")


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(PLAIN))
    read_boxes(file).clear()
    assert read_boxes(file) == READ
    file.write_text(json.dumps({"v": []}))
    assert read_boxes(file) == {"v": ()}


def test_the_authors_file(shared: Path) -> None:
    boxes = read_boxes(shared / "recorded/urf/ucf_crime/annotations/Test_annotation_aligned.pkl")
    assert (len(boxes), sum(map(len, boxes.values()))) == (140, 3102)


def test_the_command_shows_its_usage() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vaa.data.boxes"], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert result.returncode == 2
    assert "usage" in result.stderr


def test_the_command_reports_files_that_cannot_be_read_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "boxes.pkl").write_bytes(pickle.dumps(PLAIN))
    assert main([str(tmp_path / "missing.pkl"), str(tmp_path / "boxes.json")]) == DataError.exit_status
    assert "missing.pkl" in capsys.readouterr().err
    (tmp_path / "keys.pkl").write_bytes(pickle.dumps({("v", 1): []}))
    assert main([str(tmp_path / "keys.pkl"), str(tmp_path / "boxes.json")]) == DataError.exit_status
    assert "keys.pkl" in capsys.readouterr().err
    assert main([str(tmp_path / "boxes.pkl"), str(tmp_path / "missing" / "boxes.json")]) == OutputError.exit_status
    assert "boxes.json" in capsys.readouterr().err
