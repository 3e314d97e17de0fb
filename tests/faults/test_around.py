"""Harm from around a run: its workers, its clock, its model's memory, the server it asks, W&B."""

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
from faults import Backwards, Counting, Hanging, OutOfMemory
from wandb_log import read_back
from wandb_server import KEY, WandbServer

pytestmark = pytest.mark.slow


def children(pid: int) -> list[int]:
    """Of any of its threads."""
    return [int(pid) for own in Path(f"/proc/{pid}/task").glob("*/children") for pid in own.read_text().split()]


def test_a_killed_worker_costs_nothing(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    log, gate = tmp_path / "asked.jsonl", tmp_path / "gate"
    given = (*runs.COREVAD, world, "vlm.batch_size=1", "workers=2")
    started = runs.start(tmp_path, "hurt", *given, fault=Counting(log, gate))
    assert runs.until(started, lambda: log.is_file() and bool(children(started.process.pid)))
    os.kill(children(started.process.pid)[0], signal.SIGKILL)
    gate.touch()
    assert started.end() == 0, started.said
    assert runs.result(started) == runs.result(verdicts)


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    assert runs.result(runs.run(tmp_path, "again", *runs.COREVAD, world, fault=Backwards())) == runs.result(verdicts)


def test_a_model_out_of_memory_is_asked_less_at_once(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    found = runs.run(tmp_path, "again", *runs.COREVAD, world, fault=OutOfMemory(1))
    assert "Out of memory with 2 questions at once: from here on 1" in found.said
    assert runs.result(found) == runs.result(verdicts)


def test_a_model_without_memory_for_one_question_says_what_to_do(tmp_path: Path, world: str) -> None:
    found = runs.run(tmp_path, "ended", *runs.COREVAD, world, status=1, fault=OutOfMemory(0))
    assert "Out of memory with a single question" in found.said
    assert "Traceback" not in found.said


@pytest.fixture
def server() -> Iterator[FakeServer]:
    made = FakeServer()
    yield made
    made.close()


def answer(body: dict[str, Any]) -> Reply:
    """Another one for each question."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
    return completion(f"{'Anomalous' if digest < '8' else 'Normal'} scenes. {digest}")


def served(server: FakeServer, world: str) -> tuple[str, ...]:
    overrides = ["vlm=server", f"vlm.base_url={server.url}", "vlm.model=fake", "vlm.timeout=2"]
    overrides += ["vlm.retries=6", "vlm.concurrency=2", "~stages.clean", "~stages.refine"]
    return (*overrides, *(field for field in runs.SMALL if not field.startswith("workers")), world)


def test_a_server_in_trouble_after_some_work(tmp_path: Path, world: str, server: FakeServer) -> None:
    server.script = lambda body, before: answer(body)
    calm = runs.run(tmp_path, "calm", *served(server, world), "cache=null")
    asked = len(server.bodies)
    troubles = [
        error(429, "slow down", Retry_After="0.01"),
        error(500, "oh", Retry_After="0.01"),
        Reply(body={"choices": [{"mess": "a" * 100}]}, half=True),
        Reply(body=b"<html>no JSON</html>"),
        Reply(silent=True),
    ]

    def troubled(body: dict[str, Any], before: int) -> Reply:
        if len(server.bodies) <= asked + 3 or before > len(troubles):
            return answer(body)
        return troubles[before - 1]  # the calm run asked it once

    server.script = troubled
    again = runs.run(tmp_path, "troubled", *served(server, world), "cache=null")
    assert len(server.bodies) >= 2 * asked + 4 * len(troubles)
    assert runs.result(again) == runs.result(calm)


@pytest.mark.parametrize("asked", ["workers=0", "vlm=server"])
def test_a_decoder_that_hangs_in_the_runs_own_process_costs_only_its_video(
    tmp_path: Path, world: str, verdicts: runs.Started, server: FakeServer, asked: str
) -> None:
    server.script = lambda body, before: answer(body)
    clips = sorted(file.name for file in Path(world.removeprefix("data.root=")).glob("*/*.mp4"))
    given = (*runs.COREVAD, world) if asked == "workers=0" else (*served(server, world), "cache=null")
    # Decoding hangs for longer than a run is waited for, so a run that did not give it up would not end here.
    found = runs.run(tmp_path, "hurt", *given, status=3, fault=Hanging(clips[0], 5.0), WANDB_MODE="offline")
    (failure,) = json.loads((found.folder / "failures.json").read_text())
    assert clips[0] in failure["reason"]
    assert "decoding took longer than 5 s" in failure["reason"]
    (whole,) = (found.folder / "reports").iterdir()
    assert whole.stem == Path(clips[1]).stem
    if asked == "workers=0":
        assert whole.read_bytes() == (verdicts.folder / "reports" / whole.name).read_bytes()


def test_a_server_that_dies_is_gone_on_with_later(tmp_path: Path, world: str, server: FakeServer) -> None:
    server.script = lambda body, before: answer(body)
    calm = runs.run(tmp_path, "calm", *served(server, world), "cache=null")
    asked = len(server.bodies)
    server.script = lambda body, before: answer(body) if len(server.bodies) <= asked + 3 else error(500, "dead")
    dead = runs.start(tmp_path, "dead", *served(server, world), "vlm.retries=0", "vlm.timeout=60")
    assert dead.end() in (1, 3)
    assert "HTTP 500: dead" in dead.said
    server.script = lambda body, before: answer(body)
    again = runs.run(tmp_path, "again", *served(server, world), "vlm.retries=0", "vlm.timeout=60")
    assert runs.result(again) == runs.result(calm)
    assert again.metrics["cache_hits"] == 3


def test_wandb_that_cannot_be_reached_is_waited_for_a_stated_time(
    tmp_path: Path, world: str, verdicts: runs.Started
) -> None:
    dead = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40, "WANDB_INIT_TIMEOUT": "5"}
    found = runs.run(tmp_path, "job", *runs.COREVAD, world, "wandb.mode=online", **dead)
    assert "W&B: the run (online) is missing" in found.said
    assert runs.result(found) == runs.result(verdicts)
    assert list((found.folder / "wandb").glob("offline-run-*"))
    assert dead["WANDB_API_KEY"] not in found.said


@pytest.mark.parametrize("fault", ["hang", "killed"])
def test_wandb_that_is_lost_in_the_middle_is_given_up(
    tmp_path: Path, world: str, verdicts: runs.Started, fault: str
) -> None:
    log, gate, online = tmp_path / "asked.jsonl", tmp_path / "gate", WandbServer()
    given = (*runs.COREVAD, world, "wandb.mode=online", "wandb.timeout=10")
    # A server that hangs does so for longer than a run is waited for.
    started = runs.start(tmp_path, "job", *given, fault=Counting(log, gate), **online.environment)
    assert runs.until(started, log.is_file)
    assert online.seen  # it has begun online
    if fault == "hang":
        online.fault = "hang"
    else:
        pids = [pid for pid in children(started.process.pid) if "wandb-core" in Path(f"/proc/{pid}/comm").read_text()]
        os.kill(pids[0], signal.SIGKILL)
    gate.touch()
    assert started.end() == 0, started.said
    online.close()
    assert runs.result(started) == runs.result(verdicts)
    assert started.said.count("The service is abandoned; the results on disk are complete.") == 1
    assert "Traceback" not in started.said
    assert "W&B run written to disk; upload it with: wandb sync" in started.said
    assert not [file for file in started.folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    (kept,) = read_back(started.folder)
    assert kept["summary"]["roc_auc"] == started.metrics["roc_auc"]
    assert {"videos", "segments"} <= set(kept["tables"])


def test_wandb_whose_folder_cannot_be_written_costs_nothing(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job/wandb").write_text("in the way")
    found = runs.run(tmp_path, "job", *runs.COREVAD, world, WANDB_MODE="offline")
    assert "W&B: the run (offline) is missing" in found.said
    assert runs.result(found) == runs.result(verdicts)
