from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from runs_made import make, metrics, videos

from vaa.compare.__main__ import main

HOUSE = Path(__file__).parents[2]
RECORDED_RUN = 500  # seconds; the longest takes a few when the machine is idle


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three runs, one of them with an awkward name, and one that did not end."""
    folder = tmp_path / "outputs"
    for name, gain in (("0", 0.1), ("1", 0.9), ("a_b & <c>", 0.4)):
        make(folder / name, *videos(0, gain=gain), choices={"method": "m"})
    unfinished = folder / "unfinished/.hydra"
    unfinished.mkdir(parents=True)
    (unfinished / "config.yaml").write_text("{}")
    return folder


def test_the_terminal_has_bold_numbers_and_tells_of_what_is_left_out(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([str(outputs), "--resamples", "20"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^1 +\d\.\d{4} +\+\d\.\d{4} \[[+-]\d\.\d{4}, [+-]\d\.\d{4}\]", said, re.MULTILINE)
    assert "unfinished: a run that did not end" in said
    assert "\x1b[1m" not in said
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    assert main([str(outputs), "--resamples", "20"]) == 0
    best = f"{metrics(outputs / '1')['roc_auc']:.4f}"
    assert re.search(rf"\x1b\[1m *{best}", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("suffix", "parts"),
    [
        (".md", ["| run | roc_auc | Δ [95 %] |", "| --- | ---: |", "a_b & &lt;c>", "**"]),
        (".tex", [r"\toprule", r"a\_b \& \textless{}c\textgreater{}", r"roc\_auc", r"\textbf{", r"95 \%"]),
        (".html", ["<!doctype html>", "a_b &amp; &lt;c&gt;", 'class="number best"', "light-dark("]),
    ],
)
def test_formats_by_the_suffix_escaped(outputs: Path, tmp_path: Path, suffix: str, parts: list[str]) -> None:
    file = tmp_path / "new" / f"table{suffix}"
    assert main([str(outputs), "--resamples", "20", "--out", str(file)]) == 0
    text = file.read_text()
    for part in parts:
        assert part in text
    assert "http" not in text


def test_csv_has_plain_numbers(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["--names", "other", "a", "b", "--baseline", "3"]  # words come before numbers
    assert main([str(outputs), "--format", "csv", *names, "--metric", "roc_auc"]) == 0
    _, first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["run"], second["run"], second["roc_auc_delta"]) == ("a", "b", "")
    known = [metrics(outputs / name)["roc_auc"] for name in "01"]
    assert float(first["roc_auc"]) == pytest.approx(known[0], abs=1e-12)
    assert float(first["roc_auc_delta"]) == pytest.approx(known[0] - known[1], abs=1e-12)
    assert float(first["roc_auc_low"]) < float(first["roc_auc_delta"]) < float(first["roc_auc_high"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing: no run of vaa"),
        (["outputs", "--baseline", "9"], "--baseline 9: none of the runs"),
        (["outputs", "--metric", "aoc"], "Known: roc_auc"),
        (["outputs", "--names", "a"], "1 names for 3 runs"),
        (["outputs", "--out", "table.doc"], "tells of no format"),
        (["outputs", "--videos"], "wants two runs"),
        (["outputs", "--resamples", "-1"], "negative"),
    ],
)
def test_mistakes_are_answered_in_words(
    outputs: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outputs.parent)
    assert main(words) == 1
    assert message in capsys.readouterr().err


def test_a_baseline_may_be_a_folder(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outputs)
    assert main([".", "--baseline", "1/", "--resamples", "9"]) == 0
    assert "Δ: to 1." in capsys.readouterr().out


@pytest.mark.slow
def test_urf_raw_and_refined_and_the_four_rows_of_corevad_come_out_as_one_table(tmp_path: Path, shared: Path) -> None:
    recorded, environment = shared / "recorded", {**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(HOUSE)}

    def python(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RECORDED_RUN,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    data = f"data.root={recorded / 'urf/ucf_crime'}"
    for name in ("scores", "refined_scores"):
        scores = [f"scores.root={recorded / 'urf/ucf_crime' / name / 'videollama3'}", f"hydra.run.dir=outputs/{name}"]
        python(str(HOUSE / "run.py"), "method=scored", "data=ucf_crime", data, *scores, "plots=false")
    rows = ["smoothing=none,gaussian9", "position=none,centre", "hydra.sweep.dir=outputs/corevad", "plots=false"]
    roots = [data, f"vlm.root={recorded / 'corevad'}"]
    python(str(HOUSE / "run.py"), "-m", "experiment=corevad_ucf_lavad", *roots, *rows)
    folders = ["outputs/scores", "outputs/refined_scores", "outputs/corevad"]
    found = list(csv.DictReader(io.StringIO(python("-m", "vaa.compare", *folders, "--format", "csv"))))
    aucs = [round(float(row["roc_auc"]), 6) for row in found]
    assert aucs == [0.819491, 0.843562, 0.737515, 0.754799, 0.805422, 0.813191]
    different = list(found[0])[2 : list(found[0]).index("roc_auc")]
    assert different == ["method", "position", "smoothing", "scores.root"]
    assert [row["method"] for row in found] == ["scored"] * 2 + ["corevad"] * 4
    assert [row["scores.root"] for row in found] == ["scores/videollama3", "refined_scores/videollama3", *["-"] * 4]
    assert [row["smoothing"] for row in found] == ["filter10"] * 2 + ["none"] * 2 + ["gaussian9"] * 2
    assert [row["position"] for row in found] == ["none"] * 3 + ["centre", "none", "centre"]
    for metric in ("roc_auc", "ap", "within_video_auc"):
        assert found[0][f"{metric}_delta"] == ""
        for row in found[1:]:
            low, delta, high = (float(row[f"{metric}_{part}"]) for part in ("low", "delta", "high"))
            assert low < delta < high
            assert high - low < 0.3
    assert float(found[2]["roc_auc_high"]) < 0  # the bare verdicts are worse, whatever videos are drawn
