"""Runs that are killed or interrupted, and continued."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import runs
from faults import LogBatches

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Killed:
    """The run that was not killed, and how often it was killed before."""

    last: runs.RunProcess
    kills: int


def run_with_kills(cwd: Path, overrides: tuple[str, ...], counts: list[int], rng: random.Random) -> Killed:
    """Kill a run shortly after the cache has each number of answers, start it again, and wait for its end."""
    kills = 0
    for count in counts:
        run = runs.start(cwd, "killed", *overrides, fault=LogBatches(cwd / "batches.jsonl"))
        if not runs.wait_until(run, lambda count=count: runs.cached_answers(cwd) >= count):
            break
        time.sleep(rng.random() * 0.3)  # any moment of the next batch
        run.process.kill()
        if run.wait() == -signal.SIGKILL:
            kills += 1
    return Killed(runs.run(cwd, "killed", *overrides, fault=LogBatches(cwd / "batches.jsonl")), kills)


def repeated_queries(file: Path) -> list[int]:
    """The number of queries of each run that a later run had to repeat."""
    by_process: dict[int, set[str]] = {}
    for line in file.read_text().splitlines():
        pid, queries = json.loads(line)
        by_process.setdefault(pid, set()).update(map(json.dumps, queries))
    sets = list(by_process.values())
    return [len(queries & set().union(*sets[k + 1 :])) for k, queries in enumerate(sets[:-1])]


def kill_and_compare(
    cwd: Path, rendered: str, reference: runs.RunProcess, times: int, seed: int
) -> tuple[int, list[int]]:
    rng, total = random.Random(seed), runs.cached_answers(reference.cwd)
    counts = sorted(rng.randint(0, total) for _ in range(times))
    killed = run_with_kills(cwd, (*runs.URF, rendered), counts, rng)
    assert runs.results(killed.last) == runs.results(reference)
    repeated = repeated_queries(cwd / "batches.jsonl")
    assert max(repeated, default=0) <= runs.BATCH
    assert runs.cached_answers(cwd) == total
    assert not list(killed.last.folder.rglob(".*.tmp"))
    return killed.kills, repeated


def test_a_killed_run_is_continued_where_it_was(tmp_path: Path, rendered: str, urf_run: runs.RunProcess) -> None:
    kills, _ = kill_and_compare(tmp_path, rendered, urf_run, 30, seed=1)
    assert kills >= 20


@pytest.mark.soak
def test_hundreds_of_kills(tmp_path: Path, rendered: str, urf_run: runs.RunProcess) -> None:
    """Repeat for VAA_SOAK seconds and print the counts (-s)."""
    end, kills, repeated, rounds = time.monotonic() + float(os.environ.get("VAA_SOAK", "1800")), 0, list[int](), 0
    while time.monotonic() < end:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        round_kills, round_repeated = kill_and_compare(folder, rendered, urf_run, 12, seed=100 + rounds)
        kills, repeated, rounds = kills + round_kills, repeated + round_repeated, rounds + 1
        print(f"{kills} kills in {rounds} rounds; queries repeated per kill: {dict(Counter(repeated))}", flush=True)


@pytest.mark.parametrize("times", [1, 2])
def test_one_interrupt_ends_after_the_batch_and_two_end_at_once(
    tmp_path: Path, rendered: str, urf_run: runs.RunProcess, times: int
) -> None:
    log, gate = tmp_path / "batches.jsonl", tmp_path / "gate"
    started = runs.start(tmp_path, "ended", *runs.URF, rendered, fault=LogBatches(log, gate, gated_from=2))
    assert runs.wait_until(started, lambda: log.is_file() and len(log.read_text().splitlines()) == 2)
    os.kill(started.process.pid, signal.SIGINT)
    assert runs.wait_until(started, lambda: "Press Control-C again" in started.output)
    if times == 2:
        os.kill(started.process.pid, signal.SIGINT)
    else:
        gate.touch()
    assert started.wait() == 130
    assert "run the same command to continue" in started.output
    assert "Traceback" not in started.output
    assert runs.cached_answers(tmp_path) == runs.BATCH * (2 if times == 1 else 1)
    assert not (started.folder / "metrics.json").exists()
    if times == 1:
        again = runs.run(tmp_path, "again", *runs.URF, rendered, fault=LogBatches(log))
        assert runs.results(again) == runs.results(urf_run)
        assert repeated_queries(log) == [0]
