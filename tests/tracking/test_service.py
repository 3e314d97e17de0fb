"""W&B's service, the real one, begins a run online and then dies or hangs, as the server behind it may."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from test_tracking import CONFIG, tracked
from wandb.sdk import wandb_setup
from wandb_example import example
from wandb_log import read_back
from wandb_server import KEY, WandbServer

from vaa.tracking.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    made = WandbServer()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    yield made
    made.close()
    wandb.teardown()


def hurt(server: WandbServer, fault: str) -> None:
    core = wandb_setup.singleton()._connection._proc._process
    if fault == "killed":
        core.kill()
    elif fault == "stopped":
        core.send_signal(signal.SIGSTOP)
    else:
        server.fault = fault


@pytest.mark.parametrize("fault", ["killed", "stopped", "hang", "drop"])
def test_a_service_lost_in_the_middle_is_given_up_and_the_run_kept_offline(
    tmp_path: Path, clip: Path, server: WandbServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    patience, began = 2.0, time.monotonic()
    with caplog.at_level(logging.INFO), tracked(mode="online", patience=patience).run(CONFIG, tmp_path) as run:
        assert not run.run.offline
        hurt(server, fault)
        run.log({"roc_auc": 0.5}, ["a notice"], example(clip))
    assert time.monotonic() - began < 60
    said = [record.getMessage() for record in caplog.records if record.name == "vaa"]
    lost = "failed, since W&B's service died" if fault == "killed" else "took longer than 2 s (wandb.patience)"
    (warning,) = [line for line in said if "is missing" in line or "given up" in line]
    assert lost in warning
    assert "The service is given up; the results here are whole." in warning
    (found,) = read_back(tmp_path)
    assert (found["summary"]["roc_auc"], found["summary"]["notices"], found["exit"]) == (0.5, ["a notice"], 0)
    assert set(found["tables"]) == {"classes", "videos", "segments"}
    assert len(found["artifacts"]) == 3
    assert any("wandb sync" in line for line in said)
    kept = [
        file for folder in (tmp_path, Path(os.environ["WANDB_DIR"])) for file in folder.rglob("*") if file.is_file()
    ]
    assert len(kept) > 5
    assert not [file for file in kept if KEY.encode() in file.read_bytes()]
    assert KEY not in caplog.text


def test_a_run_after_one_that_was_given_up_is_online_again(tmp_path: Path, server: WandbServer) -> None:
    for fault in ("killed", None):
        with tracked(mode="online", patience=5.0).run(CONFIG, tmp_path) as run:
            assert not run.run.offline
            if fault:
                hurt(server, fault)


def test_after_one_call_that_hangs_there_is_no_other(caplog: pytest.LogCaptureFixture) -> None:
    service, asked = Service(0.2), []
    assert service.told("one", lambda: time.sleep(5)) is None
    assert service.told("two", lambda: asked.append(2)) is None
    assert service.given_up
    assert asked == []
    assert caplog.text.count("given up") == 1


def test_what_fails_without_a_lost_service_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(5.0)
    assert service.told("one", lambda: 1 / 0) is None
    assert service.told("two", lambda: 2) == 2
    assert "W&B: one is missing (ZeroDivisionError: division by zero)" in caplog.text
