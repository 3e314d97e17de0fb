"""Runs that are killed or interrupted, and go on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import runs
from faults import Counting

pytestmark = pytest.mark.slow


def chain(cwd: Path, overrides: tuple[str, ...], moments: list[int], rng: random.Random) -> tuple[runs.Started, int]:
    """One command, killed at each of these moments (answers in the memo, a little later) and begun again, to its end.

    The run that ended by itself, and how often it was killed.
    """
    kills = 0
    for moment in moments:
        started = runs.start(cwd, "killed", *overrides, fault=Counting(cwd / "asked.jsonl"))
        if not runs.until(started, lambda moment=moment: runs.remembered(cwd) >= moment):
            break
        time.sleep(rng.random() * 0.3)
        started.process.kill()
        if started.end() == -signal.SIGKILL:
            kills += 1
    return runs.run(cwd, "killed", *overrides, fault=Counting(cwd / "asked.jsonl")), kills


def asked_again(file: Path) -> list[int]:
    """Of each run: the questions it had put to a model that a later one had to put again."""
    put: dict[int, set[str]] = {}
    for line in file.read_text().splitlines():
        pid, asked = json.loads(line)
        put.setdefault(pid, set()).update(map(json.dumps, asked))
    sets = list(put.values())
    return [len(asked & set().union(*sets[k + 1 :])) for k, asked in enumerate(sets[:-1])]


def kill_and_compare(cwd: Path, world: str, whole: runs.Started, moments: int, seed: int) -> tuple[int, list[int]]:
    rng, total = random.Random(seed), runs.remembered(whole.cwd)
    drawn = sorted(rng.randint(0, total) for _ in range(moments))
    ended, kills = chain(cwd, (*runs.URF, world), drawn, rng)
    assert runs.result(ended) == runs.result(whole)
    again = asked_again(cwd / "asked.jsonl")
    assert max(again, default=0) <= runs.BATCH
    assert runs.remembered(cwd) == total
    assert not list(ended.folder.rglob(".*.tmp"))
    return kills, again


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, world: str, undisturbed: runs.Started) -> None:
    kills, _ = kill_and_compare(tmp_path, world, undisturbed, 30, seed=1)
    assert kills >= 20


@pytest.mark.soak
def test_hundreds_of_kills(tmp_path: Path, world: str, undisturbed: runs.Started) -> None:
    """For VAA_SOAK seconds; the figures are printed (-s)."""
    end, kills, again, chains = time.monotonic() + float(os.environ.get("VAA_SOAK", "1800")), 0, list[int](), 0
    while time.monotonic() < end:
        (tmp_path / str(chains)).mkdir()
        more, twice = kill_and_compare(tmp_path / str(chains), world, undisturbed, 12, seed=100 + chains)
        kills, again, chains = kills + more, again + twice, chains + 1
        print(f"{kills} kills in {chains} chains; asked again after a kill: {dict(Counter(again))}", flush=True)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_ends_after_the_batch_and_two_at_once(
    tmp_path: Path, world: str, undisturbed: runs.Started, times: int
) -> None:
    log, gate = tmp_path / "asked.jsonl", tmp_path / "gate"
    started = runs.start(tmp_path, "ended", *runs.URF, world, fault=Counting(log, gate, at=2))
    assert runs.until(started, lambda: log.is_file() and len(log.read_text().splitlines()) == 2)
    os.kill(started.process.pid, signal.SIGINT)
    assert runs.until(started, lambda: "Once more ends it at once" in started.said)
    if times == 2:
        os.kill(started.process.pid, signal.SIGINT)
    else:
        gate.touch()
    assert started.end() == 130
    assert "the same command goes on from there" in started.said
    assert "Traceback" not in started.said
    assert runs.remembered(tmp_path) == runs.BATCH * (2 if times == 1 else 1)
    assert not (started.folder / "metrics.json").exists()
    if times == 1:
        ended = runs.run(tmp_path, "again", *runs.URF, world, fault=Counting(log))
        assert runs.result(ended) == runs.result(undisturbed)
        assert asked_again(log) == [0]
