"""`make paper`: the page is the record's, the record is what runs give, and nothing of either is typed by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from vaa.errors import VaaError
from vaa.paper.__main__ import main
from vaa.paper.page import page
from vaa.paper.published import PUBLISHED
from vaa.paper.record import at, numbers
from vaa.paper.recorded import recorded
from vaa.paper.replay import replay
from vaa.paper.rows import BATCHES, COMBINED, COUNTED, ROWS
from vaa.paper.waiting import WAITING

HOUSE = Path(__file__).parents[2]
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
ASKED = """
0.819491 0.347909 0.843562 0.361548 0.191784 0.384271 0.744822 0.913386 0.680671 0.854230 0.386846 0.914830 0.695873
0.737515 0.754799 0.805422 0.813191 0.743790 0.761608 0.817015 0.825148 0.240932 0.255608 0.253058 0.255419 0.277890
0.277110 1,111,808 7.59 2,335,801 23.10 3,102
"""
"""Every number that the project was asked to reproduce."""


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return dict(json.loads((HOUSE / "docs/results.json").read_text()))


@pytest.fixture(scope="module")
def text() -> str:
    return (HOUSE / "docs/results.md").read_text()


def expected() -> Iterator[tuple[str, str, float]]:
    """Experiment, metric, number of every `# expected:` in conf/experiment; test_run.py holds these to real runs."""
    for file in sorted((HOUSE / "conf/experiment").glob("*.yaml")):
        for line in re.findall(r"^# expected: (.+)$", file.read_text(), re.MULTILINE):
            yield from ((file.stem, *pair.split()) for pair in line.split(","))  # type: ignore[misc]


def layout(folder: Path, *places: str) -> Path:
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    return folder


def test_the_page_is_what_the_command_makes_of_the_record(record: dict[str, Any], text: str) -> None:
    assert page(record) == text


@pytest.mark.parametrize(("experiment", "metric", "number"), [*expected()])
def test_the_record_agrees_with_the_experiments(
    record: dict[str, Any], experiment: str, metric: str, number: str
) -> None:
    batch, job = JOBS.get(experiment, (experiment, ()))
    assert round(at(record, batch, job)[metric], 6) == float(number)


def test_the_page_holds_every_number_that_was_asked_for(text: str) -> None:
    assert [number for number in ASKED.split() if number not in text] == []


def test_published_numbers_stand_in_one_table_and_all_of_them_are_shown(text: str) -> None:
    used = {row.published for row in ROWS if row.published} | {row.published for row in WAITING}
    assert used == PUBLISHED.keys()
    for each in PUBLISHED.values():
        assert all(f"{number:.2f}" in text for number in each.numbers.values())
    sources = [(HOUSE / f"vaa/paper/{name}.py").read_text() for name in ("page", "words", "rows", "waiting")]
    assert not re.search(r"\d\d\.\d\d|0\.\d{3}", "".join(sources))


def test_rows_name_jobs_that_are_replayed(record: dict[str, Any]) -> None:
    for row in ROWS:
        assert set(row.metrics) <= at(record, row.batch, row.job).keys()
    for counted in COUNTED:
        for batch in (counted.lavad, counted.others):
            assert at(record, batch, (*counted.job, "protocol=vera"))
    for name, (_, base) in COMBINED.items():
        assert record["combined"][name][" ".join(base)] == {}


@pytest.mark.parametrize("row", WAITING, ids=lambda row: row.title)
def test_a_command_that_waits_for_a_gpu_composes(row: Any) -> None:
    with initialize_config_dir(str(HOUSE / "conf"), version_base="1.3"):
        composed = compose("config", row.overrides.split())
    assert composed.vlm._target_ != "vaa.models.recorded.RecordedModel"
    assert composed.stages


@pytest.mark.parametrize("fetched", [False, True])
def test_files_are_found_side_by_side_and_as_fetched(tmp_path: Path, fetched: bool) -> None:
    urf, corevad, vera = ("urf/data", "corevad/outputs", "vera/Data") if fetched else ("urf", "corevad", "vera")
    labels = (f"{vera}/UCF_Eval.json", f"{vera}/xd_test_800.json")
    files = recorded(
        layout(tmp_path, f"{urf}/ucf_crime/annotations/test.txt", f"{corevad}/VLM_responses_LRC.json", *labels)
    )
    assert files.filled("data.root={urf}/ucf_crime") == f"data.root={tmp_path / urf}/ucf_crime"
    assert files.filled("protocol.labels={labels_xd}") == f"protocol.labels={tmp_path / labels[1]}"


def test_what_is_not_there_is_named_with_the_command_that_brings_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout(tmp_path, "urf/ucf_crime/annotations/test.txt")
    assert main([str(tmp_path), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]) == 1
    said = capsys.readouterr().err
    assert f"python -m vaa.data.fetch corevad {tmp_path / 'corevad'}" in said
    assert "vaa.data.fetch urf" not in said
    assert not (tmp_path / "out").exists()


def test_a_batch_that_fails_is_said_and_leaves_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ("urf/ucf_crime/annotations/test.txt", "corevad/VLM_responses_LRC.json")
    layout(tmp_path, *places, "vera/UCF_Eval.json", "vera/xd_test_800.json")
    assert main([str(tmp_path), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]) == 1
    assert "urf_ucf: run.py ended with status" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_batch_replayed_anew_gives_the_record(tmp_path: Path, shared: Path, record: dict[str, Any]) -> None:
    """The smallest batch; those that hold more are held by the experiments in test_run.py."""
    (batch,) = (batch for batch in BATCHES if batch.name == "ratings")
    files = recorded(shared / "recorded")
    jobs = replay(batch, files, tmp_path, keep=False)
    assert {" ".join(job): numbers(run) for job, run in jobs.items()} == record["jobs"][batch.name]
    written = {run.folder: (run.folder / "metrics.json").stat().st_mtime_ns for run in jobs.values()}
    kept = replay(batch, files, tmp_path, keep=True)
    assert {run.folder: (run.folder / "metrics.json").stat().st_mtime_ns for run in kept.values()} == written
    (next(iter(written)) / "metrics.json").unlink()
    with pytest.raises(VaaError, match="ratings"):
        replay(batch, recorded(without(tmp_path / "none")), tmp_path, keep=True)


def without(folder: Path) -> Path:
    """A folder in which there are names only."""
    places = ("urf/ucf_crime/annotations/test.txt", "corevad/VLM_responses_LRC.json")
    return layout(folder, *places, "vera/UCF_Eval.json", "vera/xd_test_800.json")
