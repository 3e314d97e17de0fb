from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from vaa import patience
from vaa.patience import decoding, within
from vaa.types import VideoError


def test_what_ends_in_time_gives_what_it_made_or_raised() -> None:
    assert within(5.0, lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)


def test_what_takes_longer_is_left_behind() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.1, lambda: time.sleep(3))
    assert time.monotonic() - began < 2
    assert any(thread.name == "vaa-within" and thread.daemon for thread in threading.enumerate())


def test_a_file_that_hung_a_decoder_is_not_touched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "DECODING", 0.1)
    touched: list[int] = []
    with pytest.raises(VideoError, match=r"a\.mp4: decoding it took longer than 0 s and was given up"):
        decoding(tmp_path / "a.mp4", lambda: time.sleep(3))
    with pytest.raises(VideoError, match=r"a\.mp4"):
        decoding(tmp_path / "a.mp4", lambda: touched.append(1))
    assert touched == []
    assert decoding(tmp_path / "b.mp4", lambda: 7) == 7
