"""Sources that end, drop, come back, grow, or are quicker than who watches them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import FPS, FRAMES
from sources import served, written

from vaa.errors import VaaError, VideoError
from vaa.streaming.connection import Connection
from vaa.streaming.intake import StreamReader
from vaa.streaming.stream import Stream
from vaa.types import Video
from vaa.video import sources

Make = Callable[..., Stream]


def followed(connection: Connection) -> list[int]:
    """The numbers in a connection's frames, read to its end."""
    seen, ended = list[int](), False
    while not ended or len(seen) < connection.n:
        n, ended = connection.wait()
        if n > len(seen):
            pixels = sources.frames(Video("v", connection.folder, n, connection.fps, "live"), range(len(seen), n), "")
            tens, units = (pixels[:, :, half].mean(axis=(1, 2, 3)) for half in (slice(30), slice(34, 64)))
            seen += (10 * ((tens - 20) / 20).round() + ((units - 20) / 20).round()).astype(int).tolist()
        connection.need = n
        connection.forget(n - 1)
    return seen


def test_a_file_is_read_once_to_its_end(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport))) as intake:
        found = [(connection.fps, followed(connection)) for connection in intake]
    assert found == [(FPS, list(range(FRAMES)))]


def test_a_source_that_drops_is_connected_again_and_given_up_after_its_patience(transport: Path, stream: Make) -> None:
    whole = transport.read_bytes()
    found: list[list[int]] = []
    with (
        served([whole[: len(whole) // 2], whole]) as url,
        StreamReader(stream(url=url, patience=2.0)) as intake,
        pytest.raises(VaaError, match="no frame for 2 s"),
    ):
        found.extend(map(followed, intake))
    first, second = found
    assert second == list(range(len(second)))
    assert len(second) > 90  # what the decoder still holds is lost with the connection
    assert 20 < len(first) < 80
    assert first == list(range(len(first)))


def test_a_server_that_is_not_there_is_given_up_after_its_patience(stream: Make) -> None:
    with (
        StreamReader(stream(url="http://127.0.0.1:9/x", patience=0.6)) as intake,
        pytest.raises(VaaError, match=r"no frame for 1 s: http://127.0.0.1:9/x: ConnectionRefusedError"),
    ):
        list(intake)


def test_a_growing_file_is_followed(transport: Path, tmp_path: Path, stream: Make) -> None:
    path = tmp_path / "growing.ts"
    with (
        written(path, transport.read_bytes(), 20),
        StreamReader(stream(url=str(path), follow=True, patience=2.0)) as intake,
    ):
        assert [followed(connection) for connection in intake] == [list(range(FRAMES))]


def test_a_file_waits_for_who_watches_it(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport), late=2.0)) as intake:
        connections = iter(intake)
        connection = next(connections)
        for _ in range(5):
            n, ended = connection.wait()
        assert not ended
        assert n <= 2.0 * FPS + 1
        connection.need = 50
        while n < 70:
            n, ended = connection.wait()
        assert not ended
        assert n <= 50 + 2.0 * FPS + 1


def test_of_a_camera_what_waits_too_long_is_lost_and_said(
    transport: Path, stream: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with served([transport.read_bytes()]) as url, StreamReader(stream(url=url, late=2.0, patience=0.5)) as intake:
        found = iter(intake)
        first = next(found)
        while not first.cut:
            first.wait()
        assert first.n <= 2.0 * FPS + 1
        rest = []
        with pytest.raises(VaaError, match="no frame"):
            rest += [connection.n for connection in found]
        assert intake.lost >= 2.0 * FPS
        assert sum(rest) + intake.lost <= FRAMES + 21
    assert "more than 2.0 s behind (data.late)" in caplog.text


def test_a_camera_that_talks_rtsp(transport: Path, stream: Make) -> None:
    """FFmpeg's own RTSP on both sides, in two processes; the reader is the one that listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"rtsp://127.0.0.1:{free.getsockname()[1]}/camera"
    command = [sys.executable, str(Path(__file__).parent / "push.py"), str(transport), address]
    camera = stream(url=address, patience=20.0, options={"rtsp_flags": "listen", "listen_timeout": "4"}, fps=10.0)
    with subprocess.Popen(command) as pushing:
        with StreamReader(camera) as intake:
            seen = followed(next(iter_ := iter(intake)))
            iter_.close()
        pushing.terminate()
    assert len(seen) > 50
    assert seen == list(range(seen[0], seen[0] + len(seen)))


@pytest.mark.parametrize("content", [b"", b"this is no video"])
def test_a_file_that_is_no_video_is_said(tmp_path: Path, stream: Make, content: bytes) -> None:
    path = tmp_path / "x.ts"
    path.write_bytes(content)
    with StreamReader(stream(url=str(path))) as intake, pytest.raises(VaaError, match=r"x\.ts: "):
        list(intake)


def test_a_missing_file_is_said(tmp_path: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(tmp_path / "no.ts"))) as intake, pytest.raises(VaaError, match="no such file"):
        list(intake)


def test_frames_are_reduced_and_old_ones_forgotten(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport), height=24)) as intake:
        for connection in intake:
            n, ended = 0, False
            while not ended:
                n, ended = connection.wait()
            video = Video("v", connection.folder, n, connection.fps, "live")
            assert sources.frames(video, [0, 99], "").shape == (2, 24, 32, 3)
            connection.forget(90)
            assert sorted(int(file.stem) for file in connection.folder.iterdir()) == list(range(90, 100))
            with pytest.raises(VideoError, match="frame 3 is no longer stored"):
                sources.frames(video, [3, 95], "")
            folder = connection.folder
    assert not folder.exists()


def test_a_password_is_written_nowhere(stream: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VaaError, match="holds a password") as caught:
        stream(url="rtsp://user:secret@camera/1")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("CAMERA", "http://user:secret@127.0.0.1:9/1")
    camera = stream(url=None, url_from="CAMERA", patience=0.1)
    assert camera.name == "http://127.0.0.1:9/1"
    with StreamReader(camera) as intake, pytest.raises(VaaError) as caught:
        list(intake)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(camera)
    monkeypatch.delenv("CAMERA")
    with pytest.raises(VaaError, match="no such environment variable"):
        _ = camera.name


@pytest.mark.parametrize(
    "fields", [{"url": None}, {"url_from": "X"}, {"late": 0.0}, {"patience": -1.0}, {"fps": np.inf}, {"height": 0}]
)
def test_what_cannot_be_meant_is_refused(stream: Make, fields: dict[str, object]) -> None:
    with pytest.raises(VaaError, match="data"):
        stream(**fields)
