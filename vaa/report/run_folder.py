"""A run's folder belongs to one run: another one is refused before it writes anything there."""

from __future__ import annotations

import errno
import fcntl
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from vaa.errors import OutputError

log = logging.getLogger("vaa")
_CLAIM = ".hydra/claim.json"
_STREAM_SCORES = "scores.jsonl"
_RESULTS = ("metrics.json", "failures.json", "reports", "scores", _STREAM_SCORES)


@contextmanager
def claim(folder: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Own a folder while the block runs. One that holds results may be owned again by the same command, if unfinished.

    The owner and whether it has finished are in `.hydra/claim.json`, which is locked while the owner runs. A stream
    never finishes: the same command appends to its scores.

    Raises:
        OutputError: another run owns the folder or has left results in it, or it cannot be written.
    """
    owner: dict[str, object] = {"cwd": str(Path.cwd()), "overrides": [*overrides]}
    try:
        with output_errors(folder):
            file = _open(folder, owner)
    except OutputError:
        _close_log(folder)
        raise
    with file:
        yield
        with output_errors(folder):
            _write(file, {**owner, "finished": not (folder / _STREAM_SCORES).exists()})


@contextmanager
def output_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError while a run's folder is written into an error with a remedy.

    Raises:
        OutputError: no space is left, or the folder may not be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}). Free disk space, or choose "
            "another folder by hydra.run.dir=FOLDER. Answers are cached: the same command continues the run."
        ) from error


def _open(folder: Path, owner: dict[str, object]) -> IO[bytes]:
    """The locked claim of a folder; nothing is changed in a folder that belongs to another run."""
    path, results = folder / _CLAIM, [name for name in _RESULTS if (folder / name).exists()]
    refused = OutputError(
        f"{folder}: holds the results of another run ({', '.join(results)}), which would be overwritten. Leave out "
        "hydra.run.dir (hydra.sweep.dir of a multirun) for a new folder, give another one, or remove this one. Answers "
        "are cached: a new run queries the models for what is missing only."
    )
    if results and not path.is_file():
        raise refused
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b")
    try:
        _lock(file, folder)
        file.seek(0)
        if file.read() != _encode({**owner, "finished": False}):
            if results:
                raise refused
            _write(file, {**owner, "finished": False})
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: IO[bytes], folder: Path) -> None:
    """Lock a file until it is closed, or its process ends; children of the process do not inherit the lock."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise OutputError(
                f"{folder}: another run is writing its results there. Give this one another folder by hydra.run.dir "
                "(hydra.sweep.dir of a multirun)."
            ) from error
        log.debug("%s: the file system has no locks (%s).", folder, error)


def _write(file: IO[bytes], content: dict[str, object]) -> None:
    file.truncate(0)
    file.write(_encode(content))
    file.flush()


def _encode(content: dict[str, object]) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _close_log(folder: Path) -> None:
    """Write no more log lines into the folder."""
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_relative_to(folder.absolute()):
            root.removeHandler(handler)
            handler.close()
