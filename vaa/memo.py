"""Answers and embeddings kept on disk, under everything they hang on and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vaa.types import Answer, Question, VaaError, VideoError

log = logging.getLogger("vaa")

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT);
"""
_AT_ONCE = 500
_PATIENCE, _AGAIN = 60.0, 0.05  # seconds


@dataclass(frozen=True)
class Memo:
    """A SQLite file shared by all runs; `path` None keeps the answers for this run only.

    Raises:
        VaaError: the file cannot be opened or is not a memo.
    """

    path: str | None
    _db: sqlite3.Connection = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            if self.path is not None:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            db = _opened(self.path or ":memory:")
        except (OSError, sqlite3.DatabaseError) as error:
            raise VaaError(
                f"memo={self.path}: cannot be used as a memo ({error}). Give another file or memo=null."
            ) from error
        object.__setattr__(self, "_db", db)

    def key(self, identity: str, question: Question) -> bytes:
        """What the answer hangs on, as 16 bytes: the model, the video's content, the frames and the text.

        Raises:
            VideoError: the video file, whose content counts, is missing.
        """
        content = self._digest(question.video.path) if question.frames else None
        asked = (
            question.frames,
            question.system,
            question.text,
            question.max_new_tokens,
            question.choices,
            question.until,
        )
        whole = (identity, content, *asked)
        return hashlib.blake2b(json.dumps(whole).encode(), digest_size=16).digest()

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are known; one that is damaged counts as unknown, and is said."""
        found: dict[bytes, Answer] = {}
        for first in range(0, len(keys), _AT_ONCE):
            some = keys[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            for key, value in self._rows(f"SELECT key, answer FROM answers WHERE key IN ({marks})", some):
                try:
                    found[key] = _read(value)
                except (ValueError, EOFError) as error:
                    log.warning("memo=%s: a remembered answer is damaged and asked again: %s", self.path, error)
        return found

    def remember(self, key: bytes, answer: Answer) -> None:
        """Keep an answer; it is on disk when this returns."""
        self._rows("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, _written(answer)))

    def _digest(self, path: Path) -> str:
        try:
            stat = path.stat()
        except OSError as error:
            raise VideoError(f"{path}: no such video file.") from error
        row = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        for (digest,) in self._rows("SELECT digest FROM files WHERE path=? AND size=? AND changed=?", row):
            return str(digest)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        self._rows("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (*row, digest))
        return digest

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._db.execute(sql, tuple(values)).fetchall()
        except sqlite3.DatabaseError as error:
            raise VaaError(f"memo={self.path}: {error}. Free the disk, or give another file or memo=null.") from error


def _opened(path: str) -> sqlite3.Connection:
    """A memo's tables, made where they are missing."""
    end = time.monotonic() + _PATIENCE
    while True:
        db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            db.close()
            # SQLite waits for locks, but not where two change to WAL at once: runs that start together meet there.
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(_AGAIN)
        else:
            return db


def _written(answer: Answer) -> str | bytes:
    if isinstance(answer, str):
        return answer
    buffer = io.BytesIO()
    np.save(buffer, answer, allow_pickle=False)
    return buffer.getvalue()


def _read(value: str | bytes) -> Answer:
    return value if isinstance(value, str) else np.load(io.BytesIO(value), allow_pickle=False)
