from __future__ import annotations

import logging
import multiprocessing
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from vaa.errors import OutputError
from vaa.process import PROJECT_ROOT
from vaa.report.run_folder import claim

FORK = multiprocessing.get_context("fork")


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def finish(folder: Path, *overrides: str) -> None:
    with claim(folder, overrides):
        (folder / "metrics.json").write_text("{}")


def interrupt(folder: Path, *overrides: str) -> None:
    with suppress(KeyboardInterrupt), claim(folder, overrides):
        (folder / "reports").mkdir()
        raise KeyboardInterrupt


@pytest.mark.parametrize("overrides", [("a=1",), ("a=2",)], ids=["same", "other"])
def test_a_finished_run_is_not_overwritten(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    finish(tmp_path / "run", "a=1")
    before = content(tmp_path / "run")
    with pytest.raises(OutputError, match=r"run: holds the results of another run \(metrics\.json\).*hydra\.run\.dir"):
        finish(tmp_path / "run", *overrides)
    assert content(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["metrics.json", "reports", "scores", "scores.jsonl", "failures.json"])
def test_results_of_an_unknown_run_are_not_overwritten_and_nothing_is_added(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(OutputError, match=name):
        finish(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_same_command_continues_an_unfinished_run_and_another_does_not(tmp_path: Path) -> None:
    interrupt(tmp_path, "a=1")
    with pytest.raises(OutputError, match="reports"):
        finish(tmp_path, "a=2")
    finish(tmp_path, "a=1")
    with pytest.raises(OutputError, match=r"metrics\.json"):
        finish(tmp_path, "a=1")


def test_the_same_command_appends_to_the_scores_of_a_stream_that_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with claim(tmp_path, ["data=stream"]):
            (tmp_path / "scores.jsonl").touch()
    with pytest.raises(OutputError, match=r"scores\.jsonl"), claim(tmp_path, ["data=stream", "vlm=other"]):
        pass


def test_another_folder_of_the_caller_makes_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(tmp_path / "run", "data.root=clips")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="reports"):
        finish(tmp_path / "run", "data.root=clips")


def test_a_run_that_ended_without_results_leaves_the_folder_free(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no results"), claim(tmp_path, ["a=1"]):
        raise ValueError("no results")
    (tmp_path / "notes of the user").touch()
    finish(tmp_path, "a=2")


def test_a_folder_is_refused_while_another_process_owns_it(tmp_path: Path) -> None:
    started, ended = FORK.Event(), FORK.Event()

    def own() -> None:
        with claim(tmp_path, ["a=1"]):
            started.set()
            ended.wait(60)

    process = FORK.Process(target=own)
    process.start()
    assert started.wait(60)
    with pytest.raises(OutputError, match="another run is writing"):
        finish(tmp_path, "a=1")
    process.kill()  # its lock ends with it
    process.join()
    finish(tmp_path, "a=1")


def test_the_refusal_is_not_written_into_the_log_of_the_other_run(tmp_path: Path) -> None:
    finish(tmp_path / "run")
    root, handler = logging.getLogger(), logging.FileHandler(tmp_path / "run/run.log", delay=True)
    root.addHandler(handler)
    try:
        with pytest.raises(OutputError):
            finish(tmp_path / "run")
        logging.getLogger("vaa").error("refused")
        assert handler not in root.handlers
        assert not (tmp_path / "run/run.log").exists()
    finally:
        root.removeHandler(handler)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        finish(tmp_path / "file/run")


@pytest.mark.parametrize("key", ["run", "sweep"])
def test_default_folders_of_one_second_differ(key: str) -> None:
    hydra = yaml.safe_load((PROJECT_ROOT / "conf/config.yaml").read_text())["hydra"]
    (pattern,) = re.findall(r"\$\{now:(.*)\}", hydra[key]["dir"])
    moments = [datetime(2026, 1, 31, 12, 0, 0, microsecond) for microsecond in (0, 1, 999_999)]
    assert len({moment.strftime(pattern) for moment in moments}) == 3
