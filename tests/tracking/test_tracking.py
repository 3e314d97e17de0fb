from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb_example import example
from wandb_log import read_back

from vaa.errors import ConfigError, VaaError
from vaa.tracking import run as tracking
from vaa.tracking.run import Tracking
from vaa.tracking.service import default_mode

CONFIG = {"method": "corevad", "window": {"length": 30}, "max_unparsed": 0.1}


def tracked(**fields: Any) -> Tracking:
    known: dict[str, Any] = {
        "mode": "offline",
        "project": "vaa-tests",
        "entity": None,
        "group": "g",
        "name": "n",
        "tags": ["t"],
    }
    known |= {"pictures": 2, "segments": 10, "artifacts": True, "timeout": 300.0}
    return Tracking(**{**known, **fields})


def test_an_offline_run_is_complete_in_the_jobs_folder(tmp_path: Path) -> None:
    with tracked().run(CONFIG, tmp_path) as run:
        run.run.summary.update({"roc_auc": 0.825148, "seconds/query": 1.5, "unparsed": 2})
    assert wandb.run is None  # finished
    (logged,) = read_back(tmp_path)
    assert (logged["run"].project, logged["run"].run_group, logged["run"].display_name) == ("vaa-tests", "g", "n")
    assert list(logged["run"].tags) == ["t"]
    assert {key: logged["config"][key] for key in CONFIG} == CONFIG
    assert logged["config"]["git_commit"] == tracking.git_commit()
    assert {k: v for k, v in logged["summary"].items() if not k.startswith("_")} == {
        "roc_auc": 0.825148,
        "seconds/query": 1.5,
        "unparsed": 2,
    }
    assert logged["exit"] == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [(VaaError("no such folder"), 1), (KeyboardInterrupt("stopped"), 130)],
    ids=["error", "ctrl-c"],
)
def test_what_was_logged_before_an_error_is_written_and_the_run_failed(
    tmp_path: Path, error: BaseException, status: int
) -> None:
    def body() -> None:
        with tracked().run(CONFIG, tmp_path) as run:
            run.run.summary["roc_auc"] = 0.5
            raise error

    with pytest.raises(type(error)):
        body()
    (logged,) = read_back(tmp_path)
    assert logged["exit"] == status
    assert (logged["summary"]["roc_auc"], logged["summary"]["error"]) == (0.5, str(error))
    assert logged["config"]["method"] == "corevad"


def test_successive_jobs_are_separate_runs(tmp_path: Path) -> None:
    for k in range(2):
        with tracked(name=f"job {k}").run({"job": k}, tmp_path) as run:
            run.run.summary["auc"] = k
    runs = read_back(tmp_path)
    assert [(run["run"].display_name, run["config"]["job"], run["summary"]["auc"], run["exit"]) for run in runs] == [
        ("job 0", 0, 0, 0),
        ("job 1", 1, 1, 0),
    ]


def test_disabled_computes_and_writes_nothing(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would fail
    evaluation = example(clip)
    clip.unlink()
    with tracked(mode="disabled").run(CONFIG, tmp_path) as run:
        run.log(metrics={"roc_auc": 0.5}, notices=[], evaluation=evaluation, videos=(), decoder="decord")
    assert list(tmp_path.iterdir()) == []
    assert "scores" not in vars(evaluation)  # nothing was computed


def test_where_wandb_cannot_write_the_job_continues_with_a_warning(
    tmp_path: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "wandb").write_text("a file")
    with tracked().run(CONFIG, tmp_path) as run:
        run.log(metrics={"roc_auc": 0.5}, notices=[], evaluation=example(clip), videos=(), decoder="decord")
    assert "W&B: the run (offline) is missing (NotADirectoryError" in caplog.text


def test_where_the_service_cannot_be_reached_the_run_is_written_offline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with tracked(mode="online").run(CONFIG, tmp_path) as run:
        run.run.summary["roc_auc"] = 0.5
    assert "W&B: the run (online) is missing (" in caplog.text
    (logged,) = read_back(tmp_path)
    assert logged["summary"]["roc_auc"] == 0.5


def test_auto_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with tracked(mode="auto").run(CONFIG, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "netrc", "mode"),
    [
        (None, None, "offline"),
        ("k" * 40, None, "online"),
        (None, "machine api.wandb.ai login user password secret", "online"),
        (None, "machine api.forge.coreweave.com login user password secret", "online"),
        (None, "machine elsewhere login user password secret", "offline"),
        (None, "no netrc at all", "offline"),
    ],
)
def test_auto_is_online_only_with_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, netrc: str | None, mode: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    if netrc:
        (tmp_path / ".netrc").write_text(netrc)
        (tmp_path / ".netrc").chmod(0o600)
    assert default_mode() == mode


def test_an_unknown_mode_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"wandb\.mode=dryrun: choose one of auto, online, offline, disabled"):
        tracked(mode="dryrun")


def test_the_commit_is_that_of_the_tree_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = tracking.git_commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}\+?", commit)
    monkeypatch.setenv("PATH", "")
    assert tracking.git_commit() is None


def test_numbers_as_names_are_logged_as_text(tmp_path: Path) -> None:
    with tracked(name=0.5, group=2026, project=7, tags=[1, "b"]).run(CONFIG, tmp_path):
        pass
    (logged,) = read_back(tmp_path)
    assert (logged["run"].display_name, logged["run"].run_group, logged["run"].project) == ("0.5", "2026", "7")
    assert list(logged["run"].tags) == ["1", "b"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"project": "team/vaa"}, r"wandb\.project=team/vaa.*wandb\.entity=team wandb\.project=vaa"),
        ({"project": "vaa:2"}, r"wandb\.project=vaa:2"),
        ({"project": "50%"}, r"wandb\.project=50%"),
        ({"project": "p" * 129}, r"wandb\.project=p.*128"),
        ({"tags": ["t" * 65]}, r"wandb\.tags=.*64"),
        ({"tags": [""]}, r"wandb\.tags=.*empty"),
        ({"entity": "team/vaa"}, r"wandb\.entity=team/vaa"),
    ],
)
def test_a_name_that_wandb_refuses_is_refused_before_the_work(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message), tracked(**fields).run(CONFIG, tmp_path):
        pytest.fail("the work has begun")
    assert list(tmp_path.iterdir()) == []
    with tracked(mode="disabled", **fields).run(CONFIG, tmp_path):
        pass


def test_an_invalid_run_id_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "job#42")
    with pytest.raises(ConfigError, match="WANDB_RUN_ID=job#42"), tracked().run(CONFIG, tmp_path):
        pytest.fail("the work has begun")


def test_jobs_of_a_multirun_have_their_own_ids_where_the_environment_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "job42")
    for job in (0, 1, None):  # None: a single run, which may be the continuation of an earlier one
        with tracked().run(CONFIG, tmp_path / str(job), job):
            pass
    ids = [read_back(tmp_path / folder)[0]["run"].run_id for folder in ("0", "1", "None")]
    assert ids == ["job42-0", "job42-1", "job42"]
