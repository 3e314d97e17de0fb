from __future__ import annotations

import threading
import time

import pytest

from vaa.process import run_with_timeout


def test_what_ends_in_time_gives_what_it_made_or_raised() -> None:
    assert run_with_timeout(5.0, lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(ZeroDivisionError):
        run_with_timeout(5.0, lambda: 1 / 0)


def test_what_takes_longer_is_left_behind() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run_with_timeout(0.1, lambda: time.sleep(3))
    assert time.monotonic() - began < 2
    assert any(thread.name == "vaa-timeout" and thread.daemon for thread in threading.enumerate())
