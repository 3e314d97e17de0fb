"""Control-C: once, and the run ends where nothing is lost; twice, and it ends at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger("vaa")
_asked = threading.Event()


@contextmanager
def gently() -> Iterator[None]:
    """Within it, the first Control-C is kept for `check`; the second is Python's own."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGINT, _keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _asked.clear()


def check() -> None:
    """Called where a run can end: everything that was answered is on disk.

    Raises:
        KeyboardInterrupt: the run was asked to end.
    """
    if _asked.is_set():
        raise KeyboardInterrupt


def asked() -> bool:
    """Whether the run is to end, for those who first take in what is under way."""
    return _asked.is_set()


def _keep(number: int, frame: Any) -> None:
    if _asked.is_set():
        signal.default_int_handler(number, frame)
    _asked.set()
    log.warning("Interrupted: the run ends after the batch under way. Once more ends it at once.")
