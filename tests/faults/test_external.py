"""Faults outside of a run: its workers, the clock, the memory of its model, its server, W&B."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import runs
from fake_server import FakeServer, Reply, completion, error
from faults import HangingDecoder, JumpingClock, KilledDecoder, LogBatches, OutOfMemory
from wandb_log import read_back
from wandb_server import KEY, WandbServer

from vaa.errors import ModelError, TooManyFailedError

pytestmark = pytest.mark.slow


def children(pid: int) -> list[int]:
    """The child processes of all threads of a process."""
    return [int(pid) for own in Path(f"/proc/{pid}/task").glob("*/children") for pid in own.read_text().split()]


def test_a_killed_worker_changes_nothing(tmp_path: Path, rendered: str, corevad_run: runs.RunProcess) -> None:
    # Killed at work, as when memory runs out: one that is killed while it takes a job keeps the lock of the queue.
    killed = tmp_path / "killed"
    overrides = (*runs.COREVAD, rendered, "vlm.batch_size=1", "workers=2")
    process = runs.run(tmp_path, "job", *overrides, fault=KilledDecoder(killed))
    assert killed.exists()
    assert runs.results(process) == runs.results(corevad_run)


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, rendered: str, corevad_run: runs.RunProcess) -> None:
    assert runs.results(runs.run(tmp_path, "again", *runs.COREVAD, rendered, fault=JumpingClock())) == runs.results(
        corevad_run
    )


def test_a_model_out_of_memory_gets_smaller_batches(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    process = runs.run(tmp_path, "again", *runs.COREVAD, rendered, fault=OutOfMemory(1))
    assert "Out of memory with a batch of 2 queries; the batch size is now 1" in process.output
    assert runs.results(process) == runs.results(corevad_run)


def test_a_model_without_memory_for_one_query_ends_the_run_with_a_remedy(tmp_path: Path, rendered: str) -> None:
    process = runs.run(tmp_path, "ended", *runs.COREVAD, rendered, status=ModelError.exit_status, fault=OutOfMemory(0))
    assert "Out of memory with a single query" in process.output
    assert "Traceback" not in process.output


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


def answer(body: dict[str, Any]) -> Reply:
    """A different answer for each query."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
    return completion(f"{'Anomalous' if digest < '8' else 'Normal'} scenes. {digest}")


def server_overrides(server: FakeServer, rendered: str) -> tuple[str, ...]:
    overrides = ["method=corevad", "vlm=server", f"vlm.base_url={server.url}", "vlm.model=fake", "vlm.timeout=2"]
    overrides += ["vlm.retries=6", "vlm.concurrency=2", "~stages.clean", "~stages.refine"]
    return (*overrides, *(field for field in runs.SMALL if not field.startswith("workers")), rendered)


def test_a_server_with_errors_changes_nothing(tmp_path: Path, rendered: str, server: FakeServer) -> None:
    server.script = lambda body, before: answer(body)
    undisturbed = runs.run(tmp_path, "undisturbed", *server_overrides(server, rendered), "cache=null")
    count = len(server.bodies)
    replies = [
        error(429, "slow down", Retry_After="0.01"),
        error(500, "oh", Retry_After="0.01"),
        Reply(body={"choices": [{"mess": "a" * 100}]}, half=True),
        Reply(body=b"<html>no JSON</html>"),
        Reply(silent=True),
    ]

    def reply(body: dict[str, Any], before: int) -> Reply:
        if len(server.bodies) <= count + 3 or before > len(replies):
            return answer(body)
        return replies[before - 1]  # `before` is 1 at first: the urf_run run sent this query too

    server.script = reply
    again = runs.run(tmp_path, "errors", *server_overrides(server, rendered), "cache=null")
    assert len(server.bodies) >= 2 * count + 4 * len(replies)
    assert runs.results(again) == runs.results(undisturbed)


@pytest.mark.parametrize("override", ["workers=0", "vlm=server"])
def test_a_hanging_decoder_in_the_runs_own_process_fails_only_its_video(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess, server: FakeServer, override: str
) -> None:
    server.script = lambda body, before: answer(body)
    clips = sorted(file.name for file in Path(rendered.removeprefix("data.cache_dir=")).glob("*/*.mp4"))
    overrides = (
        (*runs.COREVAD, rendered) if override == "workers=0" else (*server_overrides(server, rendered), "cache=null")
    )
    # Decoding hangs for longer than the test waits, so this run would not end without the time limit.
    hanging = HangingDecoder(clips[0])
    process = runs.run(tmp_path, "hurt", *overrides, "decode_timeout=5", status=3, fault=hanging, WANDB_MODE="offline")
    (failure,) = json.loads((process.folder / "failures.json").read_text())
    assert clips[0] in failure["reason"]
    assert "decoding it took longer than 5 s" in failure["reason"]
    (complete,) = (process.folder / "reports").iterdir()
    assert complete.stem == Path(clips[1]).stem
    if override == "workers=0":
        assert complete.read_bytes() == (corevad_run.folder / "reports" / complete.name).read_bytes()


def test_a_run_can_be_continued_after_its_server_failed(tmp_path: Path, rendered: str, server: FakeServer) -> None:
    server.script = lambda body, before: answer(body)
    undisturbed = runs.run(tmp_path, "undisturbed", *server_overrides(server, rendered), "cache=null")
    count = len(server.bodies)
    server.script = lambda body, before: answer(body) if len(server.bodies) <= count + 3 else error(500, "dead")
    dead = runs.start(tmp_path, "dead", *server_overrides(server, rendered), "vlm.retries=0", "vlm.timeout=60")
    assert dead.wait() in (ModelError.exit_status, TooManyFailedError.exit_status)
    assert "HTTP 500: dead" in dead.output
    server.script = lambda body, before: answer(body)
    again = runs.run(tmp_path, "again", *server_overrides(server, rendered), "vlm.retries=0", "vlm.timeout=60")
    assert runs.results(again) == runs.results(undisturbed)
    assert again.metrics["cache_hits"] == 3


def test_a_run_continues_without_a_wandb_that_cannot_be_reached(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    dead = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40, "WANDB_INIT_TIMEOUT": "5"}
    process = runs.run(tmp_path, "job", *runs.COREVAD, rendered, "wandb.mode=online", **dead)
    assert "W&B: the run (online) is missing" in process.output
    assert runs.results(process) == runs.results(corevad_run)
    assert list((process.folder / "wandb").glob("offline-run-*"))
    assert dead["WANDB_API_KEY"] not in process.output


@pytest.mark.parametrize("fault", ["hang", "killed"])
def test_a_wandb_that_fails_during_the_run_is_abandoned(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess, fault: str
) -> None:
    log, gate, online = tmp_path / "count.jsonl", tmp_path / "gate", WandbServer()
    overrides = (*runs.COREVAD, rendered, "wandb.mode=online", "wandb.timeout=10")
    # A hanging server hangs for longer than the test waits.
    started = runs.start(tmp_path, "job", *overrides, fault=LogBatches(log, gate), **online.environment)
    assert runs.wait_until(started, log.is_file)
    assert online.seen  # the run has started online
    if fault == "hang":
        online.fault = "hang"
    else:
        pids = [pid for pid in children(started.process.pid) if "wandb-core" in Path(f"/proc/{pid}/comm").read_text()]
        os.kill(pids[0], signal.SIGKILL)
    gate.touch()
    assert started.wait() == 0, started.output
    online.close()
    assert runs.results(started) == runs.results(corevad_run)
    assert started.output.count("The service is abandoned; the results on disk are complete.") == 1
    assert "Traceback" not in started.output
    assert "W&B run written to disk; upload it with: wandb sync" in started.output
    assert not [file for file in started.folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    (offline,) = read_back(started.folder)
    assert offline["summary"]["roc_auc"] == started.metrics["roc_auc"]
    assert {"videos", "segments"} <= set(offline["tables"])


def test_a_run_continues_without_a_wandb_folder_that_cannot_be_written(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/wandb").write_text("a file in place of the folder")
    process = runs.run(tmp_path, "job", *runs.COREVAD, rendered, WANDB_MODE="offline")
    assert "W&B: the run (offline) is missing" in process.output
    assert runs.results(process) == runs.results(corevad_run)
