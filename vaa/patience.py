"""Work that may hang: done in a thread of its own, which is left behind where it takes too long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TypeVar

from vaa.types import VideoError

DECODING = 300.0
"""Seconds that a decoder may take at once."""

Found = TypeVar("Found")


def within(seconds: float, action: Callable[[], Found]) -> Found:
    """What the action returns or raises.

    Raises:
        TimeoutError: it takes longer. Nobody waits for it any more, and it ends with the process at the latest.
    """
    done: Future[Found] = Future()

    def do() -> None:
        try:
            done.set_result(action())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=do, name="vaa-within", daemon=True).start()
    return done.result(seconds)


def decoding(path: Path, action: Callable[[], Found]) -> Found:
    """What is done with a video's file; one in which a decoder hangs is never touched again.

    Raises:
        VideoError: it takes longer than DECODING seconds, or did so before.
    """
    try:
        if path not in _stuck:
            return within(DECODING, action)
    except TimeoutError:
        _stuck.add(path)
    raise VideoError(f"{path}: decoding it took longer than {DECODING:.0f} s and was given up. Does it play?")


_stuck: set[Path] = set()
