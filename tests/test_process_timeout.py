from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from vaa import process
from vaa.errors import VideoError
from vaa.process import decode_with_timeout, run_with_timeout


def test_what_ends_in_time_gives_what_it_made_or_raised() -> None:
    assert run_with_timeout(5.0, lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(ZeroDivisionError):
        run_with_timeout(5.0, lambda: 1 / 0)


def test_what_takes_longer_is_left_behind() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run_with_timeout(0.1, lambda: time.sleep(3))
    assert time.monotonic() - began < 2
    assert any(thread.name == "vaa-within" and thread.daemon for thread in threading.enumerate())


def test_a_file_that_hung_a_decoder_is_not_touched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "DECODING", 0.1)
    touched: list[int] = []
    with pytest.raises(VideoError, match=r"a\.mp4: decoding it took longer than 0 s and was given up"):
        decode_with_timeout(tmp_path / "a.mp4", lambda: time.sleep(3))
    with pytest.raises(VideoError, match=r"a\.mp4"):
        decode_with_timeout(tmp_path / "a.mp4", lambda: touched.append(1))
    assert touched == []
    assert decode_with_timeout(tmp_path / "b.mp4", lambda: 7) == 7
