"""Caches of answers and embeddings: AnswerCache on disk, RecentAnswers in memory for a live stream.

The vectors of frames are in files of their own (vaa/frame_vectors.py): as rows of the database they would take longer
to store and could not be memory-mapped (docs/experiments.md).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vaa.errors import CacheError
from vaa.frame_vectors import FrameVectors
from vaa.types import (
    Answer,
    ChooseQuery,
    EmbedQuery,
    FramesQuery,
    GenerateQuery,
    Query,
    Video,
    frame_seconds,
    local_path,
)
from vaa.video.sources import open_source

log = logging.getLogger("vaa")

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT);
CREATE TABLE IF NOT EXISTS digests (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID;
"""
_COLUMNS = {
    "answers": ["key", "answer"],
    "files": ["path", "size", "changed", "digest"],
    "digests": ["key", "digest"],  # of the answers: SQLite has no checksums, so a changed byte would not be noticed
}
_KEYS_PER_QUERY = 500
_LOCK_TIMEOUT, _RETRY_INTERVAL = 60.0, 0.05  # seconds


@runtime_checkable
class Cache(Protocol):
    """Answers by key."""

    def key(self, identity: str, query: Query, timestamps: bool = False) -> bytes:
        """The cache key of a query to the model with this identity; `timestamps`: it is shown the frames' times."""

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The cached answers among these."""

    def store(self, key: bytes, answer: Answer) -> None:
        """Cache an answer."""


def cache_key(identity: str, video_digest: str | None, query: Query) -> bytes:
    """16 bytes from the model's identity, the digest of the video (None: no frames) and the inputs of the query.

    A query's purpose and the frame `at` do not change the answer and are not part of the key.
    """
    match query:
        case GenerateQuery():
            inputs: tuple[Any, ...] = (query.system, query.text, query.max_new_tokens, query.stop_pattern)
            if query.generation is not None:
                inputs += (query.generation.identity,)
        case ChooseQuery():
            inputs = (query.system, query.text, query.choices)
        case EmbedQuery():
            inputs = (query.text,)
        case FramesQuery():
            inputs = ()
    parts = (identity, video_digest, type(query).__name__, query.frames, *inputs)
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).digest()


@dataclass(frozen=True)
class AnswerCache:
    """A SQLite file shared by all runs, and a folder with the vectors of frames beside it.

    `path` None: in memory, and a temporary folder, for this run only.

    Raises:
        CacheError: the file cannot be opened or is not a cache.
    """

    path: str | None
    _db: sqlite3.Connection = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            if self.path is not None:
                local_path(self.path).parent.mkdir(parents=True, exist_ok=True)
            db = _open(":memory:" if self.path is None else str(local_path(self.path)))
        except (OSError, sqlite3.DatabaseError) as error:
            raise CacheError(f"cache={self.path}: cannot be used as a cache ({error}). {_remedy(error)}") from error
        object.__setattr__(self, "_db", db)

    def key(self, identity: str, query: Query, timestamps: bool = False) -> bytes:
        """The cache key of a query to the model with this identity; it depends on the content of the video file.

        With `timestamps` it depends on the times of the frames too, which follow from the rate that a data set states.

        Raises:
            VideoError: the video file is missing.
        """
        if not query.frames:
            return cache_key(identity, None, query)
        digest, video = self._video_digest(query.video), query.video
        # Without timestamps too where the rate varies: earlier versions computed all times from the average rate.
        if timestamps and isinstance(query, GenerateQuery | ChooseQuery):
            digest += f" at {[round(second, 4) for second in frame_seconds(query)]}"
        elif timestamps or video.times is not None:
            digest += f" at {[round(video.seconds(frame), 4) for frame in query.frames]}"
        return cache_key(identity, digest, query)

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The cached answers among these; a damaged one is logged and left out."""
        answers: dict[bytes, Answer] = {}
        for first in range(0, len(keys), _KEYS_PER_QUERY):
            chunk = keys[first : first + _KEYS_PER_QUERY]
            placeholders = ",".join("?" * len(chunk))
            sql = f"SELECT key, answer, digest FROM answers LEFT JOIN digests USING (key) WHERE key IN ({placeholders})"
            for key, value, digest in self._execute(sql, chunk):
                try:
                    if digest != _checksum(key, value):
                        raise ValueError("its checksum is wrong")
                    answers[key] = _decode(value)
                except (ValueError, EOFError) as error:
                    log.warning("cache=%s: a cached answer is damaged, its query is sent again: %s", self.path, error)
        return answers

    def store(self, key: bytes, answer: Answer) -> None:
        """Cache an answer; once this returns, it survives a crash of the process."""
        value = _encode(answer)
        self._execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (key, _checksum(key, value)))
        self._execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, value))

    def frame_vectors(self, identity: str, video: Video) -> FrameVectors:
        """Where the vectors of a video's frames by the encoder with this identity are stored.

        Raises:
            VideoError: the video file is missing.
        """
        key = json.dumps((identity, self._video_digest(video))).encode()
        return FrameVectors(self._frames / f"{hashlib.blake2b(key, digest_size=16).hexdigest()}.f32")

    @property
    def _frames(self) -> Path:
        return self._temporary if self.path is None else local_path(self.path).with_suffix(".frames")

    @cached_property
    def _temporary(self) -> Path:
        """Removed with this object; that of a run that was killed, by a later one (vaa/video/prefetch.py)."""
        folder = tempfile.mkdtemp(prefix=f"vaa-{os.getpid()}-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _video_digest(self, video: Video) -> str:
        """A hash of the video's content, computed once per state of its file."""
        source = open_source(video)
        state = source.state()
        for (digest,) in self._execute("SELECT digest FROM files WHERE path=? AND size=? AND changed=?", state):
            return str(digest)
        digest = source.digest()
        self._execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (*state, digest))
        return digest

    def _execute(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._db.execute(sql, tuple(values)).fetchall()
        except sqlite3.DatabaseError as error:
            raise CacheError(f"cache={self.path}: {error}. {_remedy(error)}") from error


class RecentAnswers:
    """The answers of the current and the previous round of a live stream, in memory."""

    def __init__(self) -> None:
        self._previous: dict[bytes, Answer] = {}
        self._current: dict[bytes, Answer] = {}

    def key(self, identity: str, query: Query, timestamps: bool = False) -> bytes:
        """The cache key of a query; all queries of a stream are about the same video, whose times do not change."""
        return cache_key(identity, None, query)

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The cached answers among these; they stay for the next round."""
        known = self._previous | self._current
        answers = {key: known[key] for key in keys if key in known}
        self._current |= answers
        return answers

    def store(self, key: bytes, answer: Answer) -> None:
        """Cache an answer for this round and the next."""
        self._current[key] = answer

    def end_round(self) -> None:
        """Drop the answers that this round did not use."""
        self._previous, self._current = self._current, {}


def _open(path: str) -> sqlite3.Connection:
    """Open the file and create missing tables."""
    end = time.monotonic() + _LOCK_TIMEOUT
    while True:
        db = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)
        try:
            # Damaged text must reach `load`, which compares checksums.
            db.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_TABLES)
            _check_columns(db)
        except sqlite3.OperationalError as error:
            db.close()
            # SQLite does not wait where two processes that start together change the journal mode.
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(_RETRY_INTERVAL)
        else:
            return db


def _check_columns(db: sqlite3.Connection) -> None:
    for table, columns in _COLUMNS.items():
        names = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        if names != columns:
            raise sqlite3.DatabaseError(f"table '{table}' has the columns {', '.join(names)}, not {', '.join(columns)}")


def _remedy(error: Exception) -> str:
    message = str(error)
    if "locked" in message:
        return f"Another process has locked it for {_LOCK_TIMEOUT:.0f} s: wait for it, or set another file: cache=FILE."
    if "full" in message or "I/O" in message:
        return "Free disk space and run again: cached answers are not lost. Or set another file or cache=null."
    if "malformed" in message:
        return "Recover its content: sqlite3 OLD .recover | sqlite3 NEW. Or set another file or cache=null."
    return "Set another file or cache=null."


def _checksum(key: bytes, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value  # a ValueError for damaged text
    return hashlib.blake2b(data, digest_size=8, key=key).digest()


def _encode(answer: Answer) -> str | bytes:
    if isinstance(answer, str):
        return answer
    buffer = io.BytesIO()
    np.save(buffer, answer, allow_pickle=False)
    return buffer.getvalue()


def _decode(value: str | bytes) -> Answer:
    return value if isinstance(value, str) else np.load(io.BytesIO(value), allow_pickle=False)
