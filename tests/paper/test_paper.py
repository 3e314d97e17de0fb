"""`make paper`: the page agrees with the record, the record with new runs, and no number of either is typed."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from vaa.errors import DataError, VaaError
from vaa.paper import leaderboard
from vaa.paper.__main__ import main, own_rows
from vaa.paper.page import make_page
from vaa.paper.published import PUBLISHED
from vaa.paper.record import job_metrics, metrics
from vaa.paper.replay import find_files, has_files, replay
from vaa.paper.rows import BATCHES, COMBINED, GPU_ROWS, OWN_ROWS, PROTOCOL_ROWS, ROWS
from vaa.process import PROJECT_ROOT

PLAIN, CENTRED = ("smoothing=filter10", "position=none"), ("smoothing=filter10", "position=centre")
BOTH = ("smoothing=gaussian9", "position=centre")
JOBS = {
    "urf_ucf": ("urf_ucf", PLAIN),
    "urf_ucf_centred": ("urf_ucf", CENTRED),
    "urf_xd": ("urf_xd", PLAIN),
    "urf_xd_centred": ("urf_xd", CENTRED),
    "urf_ucf_causal": ("urf_ucf_causal", ("online.delay=0.0",)),
    "corevad_ucf": ("corevad_ucf", ("protocol=vera", *BOTH)),
    "corevad_ucf_lavad": ("corevad_ucf_lavad", BOTH),
}
REQUESTED = """
0.819491 0.347909 0.843562 0.361548 0.191784 0.384271 0.744822 0.913386 0.680671 0.854230 0.386846 0.914830 0.695873
0.737515 0.754799 0.805422 0.813191 0.743790 0.761608 0.817015 0.825148 0.240932 0.255608 0.253058 0.255419 0.277890
0.277110 1,111,808 7.59 2,335,801 23.10 3,102
"""
"""Every number that the project was requested to reproduce."""


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return dict(json.loads((PROJECT_ROOT / "docs/results.json").read_text()))


@pytest.fixture(scope="module")
def text() -> str:
    return (PROJECT_ROOT / "docs/results.md").read_text()


def expected() -> Iterator[tuple[str, str, float]]:
    """Experiment, metric, number of every `# expected:` in conf/experiment; test_run.py compares these to real runs."""
    for file in sorted((PROJECT_ROOT / "conf/experiment").glob("*.yaml")):
        for line in re.findall(r"^# expected: (.+)$", file.read_text(), re.MULTILINE):
            yield from ((file.stem, *pair.split()) for pair in line.split(","))  # type: ignore[misc]


def make_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_page_is_made_from_the_record(record: dict[str, Any], text: str) -> None:
    assert make_page(record) == text


@pytest.mark.parametrize(("experiment", "metric", "number"), [*expected()])
def test_the_record_agrees_with_the_experiments(
    record: dict[str, Any], experiment: str, metric: str, number: str
) -> None:
    batch, job = JOBS.get(experiment, (experiment, ()))
    assert round(job_metrics(record, batch, job)[metric], 6) == float(number)


def test_the_page_has_every_requested_number(text: str) -> None:
    assert [number for number in REQUESTED.split() if number not in text] == []


def test_published_numbers_are_typed_in_one_file_and_all_are_shown(text: str) -> None:
    used = {row.published for row in ROWS if row.published} | {row.published for row in GPU_ROWS}
    assert used == PUBLISHED.keys()
    for each in PUBLISHED.values():
        assert all(f"{number:.2f}" in text for number in each.numbers.values())
    sources = [(PROJECT_ROOT / f"vaa/paper/{name}.py").read_text() for name in ("page", "rows", "record", "replay")]
    assert not re.search(r"\d\d\.\d\d|0\.\d{3}", "".join(sources))


def test_rows_name_jobs_that_are_replayed(record: dict[str, Any]) -> None:
    optional = {batch.name for batch in BATCHES if batch.optional}
    for row in ROWS:
        metrics = job_metrics(record, row.batch, row.job)
        assert set(row.metrics) <= metrics.keys() or (row.batch in optional and not metrics)
    for protocol_row in PROTOCOL_ROWS:
        for batch in (protocol_row.lavad, protocol_row.others):
            assert job_metrics(record, batch, (*protocol_row.job, "protocol=vera"))
    for name, (_, baseline) in COMBINED.items():
        assert record["combined"][name][" ".join(baseline)] == {}


@pytest.mark.parametrize("row", GPU_ROWS, ids=lambda row: row.title)
def test_the_command_of_a_gpu_row_composes(row: Any) -> None:
    with initialize_config_dir(str(PROJECT_ROOT / "conf"), version_base="1.3"):
        composed = compose("config", row.overrides.split())
    assert composed.vlm._target_ != "vaa.models.recorded.RecordedModel"
    assert composed.stages


@pytest.mark.parametrize("fetched", [False, True])
def test_files_are_found_copied_and_downloaded(tmp_path: Path, fetched: bool) -> None:
    urf, corevad, vera = ("urf/data", "corevad/outputs", "vera/Data") if fetched else ("urf", "corevad", "vera")
    labels = (f"{vera}/UCF_Eval.json", f"{vera}/xd_test_800.json")
    files = find_files(
        make_files(tmp_path, f"{urf}/ucf_crime/annotations/test.txt", f"{corevad}/VLM_responses_LRC.json", *labels)
    )
    assert files.fill("data.root={urf}/ucf_crime") == f"data.root={tmp_path / urf}/ucf_crime"
    assert files.fill("protocol.labels={labels_xd}") == f"protocol.labels={tmp_path / labels[1]}"


@pytest.mark.parametrize("names", [("VLM_responses_LRC", "VLM_responses_LRC_xd"), ("VLM_responses_LRC_ucf",)])
def test_the_answers_for_ucf_crime_are_chosen(tmp_path: Path, names: tuple[str, ...]) -> None:
    empty_files(tmp_path)
    (tmp_path / "corevad/VLM_responses_LRC.json").unlink()
    make_files(tmp_path, *(f"corevad/{name}.json" for name in names))
    assert find_files(tmp_path).verdict_ucf == names[0]


def test_a_batch_of_files_that_may_be_absent_is_left_out(tmp_path: Path) -> None:
    files = find_files(empty_files(tmp_path))
    left_out = {batch.name for batch in BATCHES if not has_files(batch, files)}
    vadtree = {"vadtree_msad", "vadtree_msad_coarse", "vadtree_msad_fine"}
    probe = {"probe_ucf", "probe_xd", "probe_msad"}
    assert left_out == {*vadtree, *probe, "urf_msad", "urf_ubnormal", "corevad_xd"}
    made = ("vadtree/MSAD/x", "urf/MSAD/x", "corevad/VLM_responses_LRC_xd.json", "probe/results/msad/scores/x")
    files = find_files(make_files(tmp_path, *made))
    assert {b.name for b in BATCHES if not has_files(b, files)} == {"probe_ucf", "probe_xd", "urf_ubnormal"}


def test_a_row_that_was_not_replayed_says_so_and_a_replayed_one_has_its_number(record: dict[str, Any]) -> None:
    without = {**record, "jobs": {name: jobs for name, jobs in record["jobs"].items() if name != "vadtree_msad"}}
    filled = {**without["jobs"], "urf_ubnormal": {"": {"roc_auc": 0.688562, "pr_auc": 0.75178}}}
    lines = make_page({**without, "jobs": filled}).splitlines()
    (absent,) = (line for line in lines if line.startswith("| VADTree, MSAD, ensemble"))
    (present,) = (line for line in lines if line.startswith("| URF, UBnormal, refined"))
    assert "not at hand" in absent
    assert "| 0.688562 |" in present
    assert "not at hand" not in present


def test_own_rows_are_kept_with_their_date(record: dict[str, Any], tmp_path: Path, text: str) -> None:
    assert record["own"].keys() <= {row.experiment for row in OWN_ROWS}
    for row in OWN_ROWS:
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {row.title}") and "http" not in line)
        ours = record["own"].get(row.experiment)
        assert f"{ours['roc_auc']:.6f}" in line and ours["date"] in line if ours else "not run" in line
    (tmp_path / "results.json").write_text(json.dumps({"own": {"a": {"roc_auc": 0.5}}}))
    args = argparse.Namespace(own=False, out=tmp_path)
    files = find_files(empty_files(tmp_path / "files"))
    assert own_rows(args, files) == {"a": {"roc_auc": 0.5}}
    assert own_rows(argparse.Namespace(own=False, out=tmp_path / "new"), files) == {}


def test_missing_files_are_listed_with_the_command_that_downloads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_files(tmp_path, "urf/ucf_crime/annotations/test.txt")
    assert (
        main([str(tmp_path), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]) == DataError.exit_status
    )
    error = capsys.readouterr().err
    assert f"python -m vaa.data.fetch corevad {tmp_path / 'corevad'}" in error
    assert "vaa.data.fetch urf" not in error
    assert not (tmp_path / "out").exists()


def test_a_failed_batch_is_reported_and_no_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_files(tmp_path)
    assert main([str(tmp_path), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]) == 1
    assert "urf_ucf: run.py ended with status" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_new_replay_agrees_with_the_record(tmp_path: Path, shared: Path, record: dict[str, Any]) -> None:
    """The smallest batch; the others are tested by the experiments in test_run.py."""
    (batch,) = (batch for batch in BATCHES if batch.name == "ratings")
    files = find_files(shared / "recorded")
    jobs = replay(batch, files, tmp_path, keep=False)
    assert {" ".join(job): metrics(run) for job, run in jobs.items()} == record["jobs"][batch.name]
    modified = {run.folder: (run.folder / "metrics.json").stat().st_mtime_ns for run in jobs.values()}
    again = replay(batch, files, tmp_path, keep=True)
    assert {run.folder: (run.folder / "metrics.json").stat().st_mtime_ns for run in again.values()} == modified
    (next(iter(modified)) / "metrics.json").unlink()
    with pytest.raises(VaaError, match="ratings"):
        replay(batch, find_files(empty_files(tmp_path / "none")), tmp_path, keep=True)


def test_the_leaderboard_counts_what_the_other_tables_count(record: dict[str, Any], text: str) -> None:
    rows = {row.batch.name: row for row in leaderboard.ROWS}
    assert record["leaderboard"].keys() == rows.keys()
    same = {
        "leaderboard_ucf-crime_urf_refined": ("urf_ucf", PLAIN),
        "leaderboard_xd-violence_urf_refined": ("urf_xd", PLAIN),
        "leaderboard_ucf-crime_corevad_smoothed_position": ("corevad_ucf_lavad", BOTH),
        "leaderboard_msad_vadtree_ensemble": ("vadtree_msad", ()),
    }
    for name, (batch, job) in same.items():
        for metric in ("roc_auc", "within_video_auc"):
            value, low, high = record["leaderboard"][name][metric]
            assert value == job_metrics(record, batch, job)[metric]
            assert low < value < high
        assert f"| {rows[name].title} | {rows[name].by} |" in text
    absent = make_page({**record, "leaderboard": {}})
    assert absent.count("| not replayed |") >= len(rows)


def test_a_new_row_of_the_leaderboard_agrees_with_the_record(
    tmp_path: Path, shared: Path, record: dict[str, Any]
) -> None:
    (row,) = (row for row in leaderboard.ROWS if row.title == "VADTree, coarse")
    (run,) = replay(row.batch, find_files(shared / "recorded"), tmp_path, keep=False).values()
    expected = record["leaderboard"][row.batch.name]
    assert leaderboard.measured(run) == {name: pytest.approx(values, abs=1e-6) for name, values in expected.items()}


def empty_files(folder: Path) -> Path:
    """A folder with empty files of the expected names."""
    files = ("urf/ucf_crime/annotations/test.txt", "corevad/VLM_responses_LRC.json")
    return make_files(folder, *files, "vera/UCF_Eval.json", "vera/xd_test_800.json")
