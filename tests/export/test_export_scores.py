"""Scores and boxes alone, written by `vaa.export` and read again by method=scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from author_files import write_data_set, write_json
from in_process import run

from vaa.errors import DataError
from vaa.export.__main__ import main
from vaa.loading import load_run


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, ...]:
    """A data set of four videos, with scores every 16 frames and, of one, detections."""
    lengths = write_data_set(tmp_path / "data", np.random.default_rng(9), 4)
    for name, n in lengths.items():
        write_json(tmp_path / f"data/scores/{name}.json", {str(at): at / n for at in range(0, n, 16)})
    name = next(iter(lengths))
    (tmp_path / f"data/scores/{name}.json").unlink()
    (tmp_path / f"data/scores/{name}.csv").write_text("3,1,2,30.5,40,0.25\n3,1,2,3,4,0.5\n7,0,0,1,1,0.125\n")
    return "method=scored", "data=ucf_crime", f"data.root={tmp_path / 'data'}"


@pytest.mark.parametrize(("layout", "root"), [("npy", ""), ("csv", ""), ("vadtree", "scores.json")])
def test_written_scores_are_read_back_as_they_are(
    tmp_path: Path, data: tuple[str, ...], layout: str, root: str
) -> None:
    first = run(tmp_path / "run", *data, f"scores.root={tmp_path / 'data/scores'}")
    assert main([str(first), "--layout", layout, "--out", str(tmp_path / "out")]) == 0
    again = load_run(run(tmp_path / "again", *data, f"scores.root={tmp_path / 'out' / root}"))
    original = load_run(first)
    assert len(original.scores) == 4
    for video, scores in original.scores.items():
        np.testing.assert_array_equal(again.scores[video], scores)


def test_written_detections_are_read_back_as_they_are(
    tmp_path: Path, data: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(tmp_path / "run", *data, f"scores.root={tmp_path / 'data/scores'}")
    assert main([str(first), "--layout", "detections", "--out", str(tmp_path / "out")]) == 0
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_text().splitlines()[1:] == [
        "3,1.0,2.0,30.5,40.0,0.25",
        "3,1.0,2.0,3.0,4.0,0.5",
        "7,0.0,0.0,1.0,1.0,0.125",
    ]
    for report in (first / "reports").glob("*.json"):
        content = json.loads(report.read_text())
        content["stages"]["read"].pop("boxes", None)
        report.write_text(json.dumps(content))
    assert main([str(first), "--layout", "detections", "--out", str(tmp_path / "none")]) == DataError.exit_status
    assert "has no boxes" in capsys.readouterr().err
