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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vaa.errors import VaaError
from vaa.types import Answer, ChooseQuery, EmbedQuery, GenerateQuery, Query, Video
from vaa.video.sources import open_source

log = logging.getLogger("vaa")

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT);
CREATE TABLE IF NOT EXISTS digests (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID;
"""
_LAYOUT = {
    "answers": ["key", "answer"],
    "files": ["path", "size", "changed", "digest"],
    "digests": ["key", "digest"],  # of the answers: SQLite has no checksums, and a changed word would go unnoticed
}
_AT_ONCE = 500
_PATIENCE, _AGAIN = 60.0, 0.05  # seconds


def cache_key(identity: str, content: str | None, query: Query) -> bytes:
    """16 bytes that depend on the model's identity, the video's content and all that the answer depends on."""
    match query:
        case GenerateQuery():
            inputs: tuple[Any, ...] = (query.system, query.text, query.max_new_tokens, query.stop_pattern)
        case ChooseQuery():
            inputs = (query.system, query.text, query.choices)
        case EmbedQuery():
            inputs = (query.text,)
    parts = (identity, content, type(query).__name__, query.frames, *inputs)
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).digest()


@dataclass(frozen=True)
class AnswerCache:
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
            raise VaaError(f"cache={self.path}: cannot be used as a memo ({error}). {_mend(error)}") from error
        object.__setattr__(self, "_db", db)

    def key(self, identity: str, query: Query) -> bytes:
        """What the answer hangs on, as 16 bytes: the model, the video's content, the frames and the text.

        Raises:
            VideoError: the video file, whose content counts, is missing.
        """
        content = self._digest(query.video) if query.frames else None
        return cache_key(identity, content, query)

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are known; one that is damaged counts as unknown, and is said."""
        found: dict[bytes, Answer] = {}
        for first in range(0, len(keys), _AT_ONCE):
            some = keys[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            sql = f"SELECT key, answer, digest FROM answers LEFT JOIN digests USING (key) WHERE key IN ({marks})"
            for key, value, digest in self._rows(sql, some):
                try:
                    found_sum = _sum(key, value)
                    if digest not in (None, found_sum):  # None: from before there were any
                        raise ValueError("it is not what was written")
                    found[key] = _read(value)
                except (ValueError, EOFError) as error:
                    log.warning("cache=%s: a remembered answer is damaged and asked again: %s", self.path, error)
        return found

    def store(self, key: bytes, answer: Answer) -> None:
        """Keep an answer; it is on disk when this returns."""
        value = _written(answer)
        self._rows("INSERT OR REPLACE INTO digests VALUES (?, ?)", (key, _sum(key, value)))
        self._rows("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, value))

    def _digest(self, video: Video) -> str:
        source = open_source(video)
        state = source.state()
        for (digest,) in self._rows("SELECT digest FROM files WHERE path=? AND size=? AND changed=?", state):
            return str(digest)
        digest = source.digest()
        self._rows("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (*state, digest))
        return digest

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._db.execute(sql, tuple(values)).fetchall()
        except sqlite3.DatabaseError as error:
            raise VaaError(f"cache={self.path}: {error}. {_mend(error)}") from error


def _opened(path: str) -> sqlite3.Connection:
    """A memo's tables, made where they are missing."""
    end = time.monotonic() + _PATIENCE
    while True:
        db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            db.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")  # damaged: for `recall` to see
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_TABLES)
            _check(db)
        except sqlite3.OperationalError as error:
            db.close()
            # SQLite waits for locks, but not where two change to WAL at once: runs that start together meet there.
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(_AGAIN)
        else:
            return db


def _check(db: sqlite3.Connection) -> None:
    """Refuse a file of another layout."""
    for table, columns in _LAYOUT.items():
        found = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        if found != columns:
            raise sqlite3.DatabaseError(f"another layout: '{table}' has {', '.join(found)}, not {', '.join(columns)}")


def _mend(error: Exception) -> str:
    """What can be done about it."""
    said = str(error)
    if "locked" in said:
        return f"Another process has held it for {_PATIENCE:.0f} s: wait for it, or give another file as cache=FILE."
    if "full" in said or "I/O" in said:
        return "Free the disk and run again: what was answered before is kept. Or give another file or cache=null."
    if "malformed" in said:
        return "What can be read is saved by: sqlite3 OLD .recover | sqlite3 NEW. Or give another file or cache=null."
    return "Give another file or cache=null."


def _sum(key: bytes, value: str | bytes) -> bytes:
    whole = value.encode() if isinstance(value, str) else value
    return hashlib.blake2b(whole, digest_size=8, key=key).digest()


def _written(answer: Answer) -> str | bytes:
    if isinstance(answer, str):
        return answer
    buffer = io.BytesIO()
    np.save(buffer, answer, allow_pickle=False)
    return buffer.getvalue()


def _read(value: str | bytes) -> Answer:
    return value if isinstance(value, str) else np.load(io.BytesIO(value), allow_pickle=False)
