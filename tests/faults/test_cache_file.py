"""Harm to the memo's file: what was answered is used, asked again, or missed with words; never silently wrong."""

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
from faults import Impatient, Nobody

pytestmark = pytest.mark.slow


@pytest.fixture
def known(tmp_path: Path, verdicts: runs.Started) -> Path:
    """A copy of the memo of a whole run, in one file."""
    with sqlite3.connect(verdicts.cwd / "memo.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return Path(shutil.copy(verdicts.cwd / "memo.sqlite", tmp_path))


def test_a_changed_word_is_noticed_and_asked_again(known: Path, world: str, verdicts: runs.Started) -> None:
    content = known.read_bytes()
    assert b"cenes" in content
    known.write_bytes(content.replace(b"cenes", b"ceneS"))
    again = runs.run(known.parent, "again", *runs.COREVAD, world)
    assert "a remembered answer is damaged and asked again" in again.said
    assert runs.result(again) == runs.result(verdicts)
    assert again.metrics["model_queries"] == content.count(b"cenes")


def test_a_truncated_memo_is_refused_with_what_to_do(known: Path, world: str, verdicts: runs.Started) -> None:
    with known.open("r+b") as file:
        file.truncate(known.stat().st_size * 6 // 10)
    said = runs.run(known.parent, "refused", *runs.COREVAD, world, status=1).said
    assert "cache=memo.sqlite" in said
    assert "malformed" in said
    assert ".recover" in said
    assert "Traceback" not in said
    known.unlink()
    assert runs.result(runs.run(known.parent, "again", *runs.COREVAD, world)) == runs.result(verdicts)


def has_open(started: runs.Started, file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # another file was closed meanwhile
        return str(file.resolve()) in map(os.readlink, Path(f"/proc/{started.process.pid}/fd").iterdir())
    return False


def test_a_lock_is_waited_for(known: Path, world: str, verdicts: runs.Started) -> None:
    held = sqlite3.connect(known, isolation_level=None)
    held.execute("PRAGMA locking_mode=EXCLUSIVE")  # else a run that knows all answers reads them despite the lock
    held.execute("BEGIN EXCLUSIVE")
    started = runs.start(known.parent, "again", *runs.COREVAD, world)
    assert runs.until(started, lambda: has_open(started, known))  # and cannot go on
    held.execute("COMMIT")
    held.close()
    assert started.end() == 0, started.said
    assert runs.result(started) == runs.result(verdicts)


def test_a_lock_that_stays_is_said(known: Path, world: str) -> None:
    held = sqlite3.connect(known, isolation_level=None)
    held.execute("PRAGMA locking_mode=EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    said = runs.run(known.parent, "again", *runs.COREVAD, world, status=1, fault=Impatient(1.0)).said
    held.close()
    assert "cache=memo.sqlite" in said
    assert "Another process has held it for 1 s" in said


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that everybody may enter and write; pytest's own are for their owner."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_memo_that_may_not_be_written_is_said(known: Path, open_to_all: Path) -> None:
    (open_to_all / "cache").mkdir()
    cache = Path(shutil.copy(known, open_to_all / "cache"))
    cache.chmod(0o444)
    cache.parent.chmod(0o555)
    given = (*runs.COREVAD, "cache=memo/memo.sqlite")
    try:
        started = runs.start(open_to_all, "refused", *given, fault=Nobody())
        assert started.end() == 1, started.said
    except PermissionError:
        pytest.skip("Only root can become nobody.")
    assert "cache=memo/memo.sqlite: cannot be used as a memo" in started.said
    assert "readonly" in started.said
    assert "Traceback" not in started.said


def test_four_runs_on_one_memo_at_once(tmp_path: Path, world: str, verdicts: runs.Started) -> None:
    four = [runs.start(tmp_path, name, *runs.COREVAD, world) for name in "abcd"]
    assert [one.end() for one in four] == [0] * 4
    assert all(runs.result(one) == runs.result(verdicts) for one in four)
    assert runs.remembered(tmp_path) == runs.remembered(verdicts.cwd)
    with sqlite3.connect(tmp_path / "memo.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
