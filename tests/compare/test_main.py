from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from run_folders import make, metrics, videos

from vaa.compare.__main__ import main
from vaa.errors import ConfigError, DataError, OutputError
from vaa.process import PROJECT_ROOT

TIMEOUT = 500  # seconds; the longest takes a few when the machine is idle


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three runs, one of them with a name that has to be escaped, and an unfinished one."""
    folder = tmp_path / "outputs"
    for name, gain in (("0", 0.1), ("1", 0.9), ("a_b & <c>", 0.4)):
        make(folder / name, *videos(0, gain=gain), choices={"method": "m"})
    unfinished = folder / "unfinished/.hydra"
    unfinished.mkdir(parents=True)
    (unfinished / "config.yaml").write_text("{}")
    return folder


def test_the_terminal_shows_the_best_in_bold_and_names_unfinished_runs(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([str(outputs), "--resamples", "20"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^1 +\d\.\d{4} +\+\d\.\d{4} \[[+-]\d\.\d{4}, [+-]\d\.\d{4}\]", output, re.MULTILINE)
    assert "unfinished: an unfinished run" in output
    assert "\x1b[1m" not in output
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
def test_the_suffix_chooses_the_format_and_text_is_escaped(
    outputs: Path, tmp_path: Path, suffix: str, parts: list[str]
) -> None:
    file = tmp_path / "new" / f"table{suffix}"
    assert main([str(outputs), "--resamples", "20", "--out", str(file)]) == 0
    text = file.read_text()
    for part in parts:
        assert part in text
    assert "http" not in text


def test_a_table_fits_a_terminal_of_100_columns_and_nothing_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    long = "a-very-long-name-of-a-prompt-that-does-not-fit-" * 2
    for k, model in enumerate(("models/large/InternVL2_5-8B", "models/large/InternVL2_5-2B")):
        config = {"vlm": {"checkpoint": model}, "prompt": {"text": f"{long}{k}"}}
        make(tmp_path / f"run{k}", *videos(k), choices={"method": "m"}, config=config)
    (tmp_path / "run0/report.html").write_text("")
    assert main([str(tmp_path), "--resamples", "20", "--metric", "roc_auc", "pr_auc", "within_video_auc"]) == 0
    output = capsys.readouterr().out
    table = output[: output.index("Δ: to run0")]
    assert max(map(len, table.splitlines())) <= 100
    assert "in models/large/" in table
    assert re.search(r"^run0 .* InternVL2_5-8B ", table, re.MULTILINE)
    assert f"{long}0" in re.sub(r"\s|run0|InternVL2_5-8B|\d\.\d{4}", "", table)
    assert table.count("Δ [95 %]") == 3
    assert f"run0: {tmp_path / 'run0/report.html'}" in output
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main([str(tmp_path), "--resamples", "20"]) == 0
    assert (tmp_path / "run0/report.html").as_uri() in capsys.readouterr().out
    assert main([str(tmp_path), "--resamples", "20", "--format", "markdown"]) == 0
    assert f"| {long}0 | models/large/InternVL2_5-8B |" in capsys.readouterr().out


def test_csv_has_unformatted_numbers(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["--names", "other", "a", "b", "--baseline", "3"]
    assert main([str(outputs), "--format", "csv", *names, "--metric", "roc_auc"]) == 0
    _, first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["run"], second["run"], second["roc_auc_delta"]) == ("a", "b", "")
    known = [metrics(outputs / name)["roc_auc"] for name in "01"]
    assert float(first["roc_auc"]) == pytest.approx(known[0], abs=1e-12)
    assert float(first["roc_auc_delta"]) == pytest.approx(known[0] - known[1], abs=1e-12)
    assert float(first["roc_auc_low"]) < float(first["roc_auc_delta"]) < float(first["roc_auc_high"])


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["nothing"], DataError.exit_status, "nothing: "),
        (["outputs", "--baseline", "9"], ConfigError.exit_status, "--baseline 9: "),
        (["outputs", "--metric", "aoc"], ConfigError.exit_status, "Known: roc_auc"),
        (["outputs", "--names", "a"], ConfigError.exit_status, "1 names for 3 runs"),
        (["outputs", "--out", "table.doc"], ConfigError.exit_status, "--out table.doc: unknown suffix"),
        (["outputs", "--videos"], ConfigError.exit_status, "two runs, not 3"),
        (["outputs", "--resamples", "-1"], ConfigError.exit_status, "--resamples -1"),
        (
            ["outputs", "--out", "outputs/0/metrics.json/table.md"],
            OutputError.exit_status,
            "table.md: cannot be written",
        ),
    ],
)
def test_errors_are_printed_without_a_traceback(
    outputs: Path,
    args: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(outputs.parent)
    assert main(args) == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_the_baseline_can_be_a_folder(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outputs)
    assert main([".", "--baseline", "1/", "--resamples", "9"]) == 0
    assert "Δ: to 1." in capsys.readouterr().out


@pytest.mark.long
def test_urf_and_corevad_runs_are_one_table(tmp_path: Path, shared: Path) -> None:
    recorded, environment = (
        shared / "recorded",
        {**os.environ, "WANDB_MODE": "disabled", "PYTHONPATH": str(PROJECT_ROOT)},
    )

    def python(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    data = f"data.root={recorded / 'urf/ucf_crime'}"
    for name in ("scores", "refined_scores"):
        scores = [f"scores.root={recorded / 'urf/ucf_crime' / name / 'videollama3'}", f"hydra.run.dir=outputs/{name}"]
        python(
            str(PROJECT_ROOT / "run.py"),
            "method=scored",
            "smoothing=filter10",
            "data=ucf_crime",
            data,
            *scores,
            "plots=false",
        )
    rows = ["smoothing=none,gaussian9", "position=none,centre", "hydra.sweep.dir=outputs/corevad", "plots=false"]
    roots = [data, f"vlm.root={recorded / 'corevad'}"]
    python(str(PROJECT_ROOT / "run.py"), "-m", "experiment=corevad_ucf_lavad", *roots, *rows)
    folders = ["outputs/scores", "outputs/refined_scores", "outputs/corevad"]
    table = list(csv.DictReader(io.StringIO(python("-m", "vaa.compare", *folders, "--format", "csv"))))
    aucs = [round(float(row["roc_auc"]), 6) for row in table]
    assert aucs == [0.819491, 0.843562, 0.737515, 0.754799, 0.805422, 0.813191]
    settings = list(table[0])[2 : list(table[0]).index("roc_auc")]
    assert settings == ["method", "position", "smoothing", "scores.root"]
    assert [row["method"] for row in table] == ["scored"] * 2 + ["corevad"] * 4
    assert [row["scores.root"] for row in table] == ["scores/videollama3", "refined_scores/videollama3", *["-"] * 4]
    assert [row["smoothing"] for row in table] == ["filter10"] * 2 + ["none"] * 2 + ["gaussian9"] * 2
    assert [row["position"] for row in table] == ["none"] * 3 + ["centre", "none", "centre"]
    for metric in ("roc_auc", "pr_auc", "within_video_auc"):
        assert table[0][f"{metric}_delta"] == ""
        for row in table[1:]:
            low, delta, high = (float(row[f"{metric}_{part}"]) for part in ("low", "delta", "high"))
            assert low < delta < high
            assert high - low < 0.3
    assert float(table[2]["roc_auc_high"]) < 0  # unprocessed verdicts are worse in all resamples
