"""A damaged, locked or read-only cache file: answers are used, queried again or refused with a message."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import runs
from faults import ShortLockTimeout, Unprivileged

from vaa.errors import CacheError

pytestmark = pytest.mark.slow


@pytest.fixture
def cache_file(tmp_path: Path, corevad_run: runs.RunProcess) -> Path:
    """A copy of the cache of an urf_run run, in one file."""
    with sqlite3.connect(corevad_run.cwd / "answers.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return Path(shutil.copy(corevad_run.cwd / "answers.sqlite", tmp_path))


def test_a_damaged_answer_is_queried_again(cache_file: Path, rendered: str, corevad_run: runs.RunProcess) -> None:
    content = cache_file.read_bytes()
    assert b"cenes" in content
    cache_file.write_bytes(content.replace(b"cenes", b"ceneS"))
    again = runs.run(cache_file.parent, "again", *runs.COREVAD, rendered)
    assert "cache=answers.sqlite: a cached answer is damaged" in again.output
    assert runs.results(again) == runs.results(corevad_run)
    assert again.metrics["model_queries"] == content.count(b"cenes")


def test_a_truncated_cache_is_refused_with_a_remedy(
    cache_file: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    with cache_file.open("r+b") as file:
        file.truncate(cache_file.stat().st_size * 6 // 10)
    output = runs.run(cache_file.parent, "refused", *runs.COREVAD, rendered, status=CacheError.exit_status).output
    assert "cache=answers.sqlite" in output
    assert "malformed" in output
    assert ".recover" in output
    assert "Traceback" not in output
    cache_file.unlink()
    assert runs.results(runs.run(cache_file.parent, "again", *runs.COREVAD, rendered)) == runs.results(corevad_run)


def has_open(started: runs.RunProcess, file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # another file was closed in between
        return str(file.resolve()) in map(os.readlink, Path(f"/proc/{started.process.pid}/fd").iterdir())
    return False


def test_a_run_waits_for_a_locked_cache(cache_file: Path, rendered: str, corevad_run: runs.RunProcess) -> None:
    connection = sqlite3.connect(cache_file, isolation_level=None)
    connection.execute(
        "PRAGMA locking_mode=EXCLUSIVE"
    )  # otherwise a run with all answers in the cache reads them despite the lock
    connection.execute("BEGIN EXCLUSIVE")
    started = runs.start(cache_file.parent, "again", *runs.COREVAD, rendered)
    assert runs.wait_until(started, lambda: has_open(started, cache_file))  # and waits for the lock
    connection.execute("COMMIT")
    connection.close()
    assert started.wait() == 0, started.output
    assert runs.results(started) == runs.results(corevad_run)


def test_a_cache_that_stays_locked_is_refused(cache_file: Path, rendered: str) -> None:
    connection = sqlite3.connect(cache_file, isolation_level=None)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    output = runs.run(
        cache_file.parent, "again", *runs.COREVAD, rendered, status=CacheError.exit_status, fault=ShortLockTimeout(1.0)
    ).output
    connection.close()
    assert "cache=answers.sqlite" in output
    assert "locked it for 1 s" in output


@pytest.fixture
def world_writable() -> Iterator[Path]:
    """A folder that every user can write; pytest's folders are only for their owner."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_cache_is_refused(cache_file: Path, world_writable: Path) -> None:
    (world_writable / "cache").mkdir()
    cache = Path(shutil.copy(cache_file, world_writable / "cache"))
    cache.chmod(0o444)
    cache.parent.chmod(0o555)
    overrides = (*runs.COREVAD, "cache=cache/answers.sqlite")
    try:
        started = runs.start(world_writable, "refused", *overrides, fault=Unprivileged())
        assert started.wait() == CacheError.exit_status, started.output
    except PermissionError:
        pytest.skip("Only root can change the user of a process.")
    assert "cache=cache/answers.sqlite: " in started.output
    assert "readonly" in started.output
    assert "Traceback" not in started.output


def test_four_runs_can_share_a_cache_at_the_same_time(
    tmp_path: Path, rendered: str, corevad_run: runs.RunProcess
) -> None:
    processes = [runs.start(tmp_path, name, *runs.COREVAD, rendered) for name in "abcd"]
    assert [process.wait() for process in processes] == [0] * 4
    assert all(runs.results(process) == runs.results(corevad_run) for process in processes)
    assert runs.cached_answers(tmp_path) == runs.cached_answers(corevad_run.cwd)
    with sqlite3.connect(tmp_path / "answers.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
