"""The real W&B service starts a run online, then it or its server dies or hangs."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from test_tracking import CONFIG, tracked
from wandb_example import example, example_videos
from wandb_log import read_back
from wandb_server import KEY, WandbServer

from vaa.tracking.service import Service, service_process

pytestmark = pytest.mark.slow


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    server = WandbServer()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    yield server
    server.close()
    wandb.teardown()


def inject(server: WandbServer, fault: str) -> None:
    core = service_process()
    if fault == "killed":
        core.kill()
    elif fault == "stopped":
        core.send_signal(signal.SIGSTOP)
    else:
        server.fault = fault


@pytest.mark.parametrize("fault", ["killed", "stopped", "hang", "drop"])
def test_a_service_lost_in_the_middle_is_abandoned_and_the_run_written_offline(
    tmp_path: Path, clip: Path, server: WandbServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    timeout, started = 2.0, time.monotonic()
    with caplog.at_level(logging.INFO), tracked(mode="online", timeout=timeout).run(CONFIG, tmp_path) as run:
        assert not run.run.offline
        inject(server, fault)
        run.log(
            metrics={"roc_auc": 0.5},
            notices=["a notice"],
            evaluation=example(clip),
            videos=example_videos(clip),
            decoder="decord",
        )
    assert time.monotonic() - started < 60
    messages = [record.getMessage() for record in caplog.records if record.name == "vaa"]
    reason = "failed, since W&B's service process died" if fault == "killed" else "took longer than 2 s (wandb.timeout)"
    (warning,) = [line for line in messages if "is missing" in line or "abandoned" in line]
    assert reason in warning
    assert "The service is abandoned; the results on disk are complete." in warning
    (run_read,) = read_back(tmp_path)
    assert (run_read["summary"]["roc_auc"], run_read["summary"]["notices"], run_read["exit"]) == (0.5, ["a notice"], 0)
    assert set(run_read["tables"]) == {"classes", "videos", "segments"}
    assert len(run_read["artifacts"]) == 3
    assert any("wandb sync" in line for line in messages)
    written = [
        file for folder in (tmp_path, Path(os.environ["WANDB_DIR"])) for file in folder.rglob("*") if file.is_file()
    ]
    assert len(written) > 5
    assert not [file for file in written if KEY.encode() in file.read_bytes()]
    assert KEY not in caplog.text


def test_a_run_after_an_abandoned_one_is_online_again(tmp_path: Path, server: WandbServer) -> None:
    for fault in ("killed", None):
        with tracked(mode="online", timeout=5.0).run(CONFIG, tmp_path) as run:
            assert not run.run.offline
            if fault:
                inject(server, fault)


def test_after_a_call_that_hangs_no_other_is_made(caplog: pytest.LogCaptureFixture) -> None:
    service, calls, release = Service(0.2), [], threading.Event()
    assert service.call("one", release.wait) is None
    release.set()
    assert service.call("two", lambda: calls.append(2)) is None
    assert service.abandoned
    assert calls == []
    assert caplog.text.count("abandoned") == 1


def test_a_failing_call_does_not_abandon_the_service(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(5.0)
    assert service.call("one", lambda: 1 / 0) is None
    assert service.call("two", lambda: 2) == 2
    assert "W&B: one is missing (ZeroDivisionError: division by zero)" in caplog.text
