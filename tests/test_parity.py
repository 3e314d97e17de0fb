"""python -m vaa.parity: shares of equal answers, differences of scores, speeds."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import in_process
import orjson
import pytest

from vaa import parity
from vaa.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and a copy of it in which an answer of one video has another text and score."""
    folder = tmp_path_factory.mktemp("runs")
    first = in_process.run(folder / "a", "data.videos=2", "data.seconds=20", "workers=0")
    second = folder / "b"
    shutil.copytree(first, second)
    file = min((second / "reports").glob("*.json"))
    content = orjson.loads(file.read_bytes())
    content["stages"]["ask"]["responses"][0]["score"] += 0.125
    file.write_bytes(orjson.dumps(content))
    return first, second


def test_equal_answers_and_differences_of_scores_are_shown_for_each_stage(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    assert parity.main([*map(str, runs), "--out", str(tmp_path / "table.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(row["run"], row["stage"]) for row in rows[::2]] == [("a", "ask"), ("b", "ask")]
    reference, other = (next(row for row in rows if (row["run"], row["stage"]) == (name, "ask")) for name in "ab")
    assert reference["equal"] == ""
    n = int(other["answers"])
    assert n == 14
    assert float(other["equal"]) == pytest.approx((n - 1) / n)
    assert float(other["max |Δ score|"]) == pytest.approx(0.125)
    assert float(other["mean |Δ score|"]) == pytest.approx(0.125 / n)
    assert float(reference["queries/s"]) > 0
    assert 0 <= float(reference["waiting"]) <= 1
    assert float(reference["memory, GB"]) > 0.1
    described = next(row for row in rows if (row["run"], row["stage"]) == ("b", "describe"))
    assert float(described["equal"]) == 1
    assert float(described["tokens/s"]) > 0


def test_metrics_and_their_differences_are_in_the_notes(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert parity.main([*map(str, runs), "--format", "markdown"]) == 0
    assert "b: roc_auc" in capsys.readouterr().out


def test_one_run_and_a_run_of_an_earlier_version_are_errors_in_words(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parity.main([str(runs[0])]) == ConfigError.exit_status
    shutil.copytree(runs[1], tmp_path / "old")
    (tmp_path / "old" / "performance.json").unlink()
    assert parity.main([str(runs[0]), str(tmp_path / "old")]) == DataError.exit_status
    assert "performance.json" in capsys.readouterr().err
