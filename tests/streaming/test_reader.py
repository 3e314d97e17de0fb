"""Sources that end, drop, come back, grow, or are faster than the model."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from live_sources import FPS, FRAMES, growing_file, serve
from making import write_timed
from odd_videos import EDITS, codes, with_matrix

from vaa.errors import ConfigError, DataError, VideoError
from vaa.streaming.reader import Connection, StreamReader
from vaa.streaming.stream import Stream
from vaa.types import Video
from vaa.video import sources

Make = Callable[..., Stream]


def read_numbers(connection: Connection) -> list[int]:
    """The numbers that a connection's frames encode, read to its end."""
    numbers, ended = list[int](), False
    while not ended or len(numbers) < connection.n_frames:
        n, ended = connection.wait()
        if n > len(numbers):
            video = Video("v", connection.folder, n, connection.fps, "live")
            pixels = sources.frames(video, range(len(numbers), n), "")
            tens, units = (pixels[:, :, half].mean(axis=(1, 2, 3)) for half in (slice(30), slice(34, 64)))
            numbers += (10 * ((tens - 20) / 20).round() + ((units - 20) / 20).round()).astype(int).tolist()
        connection.backlog_start = n
        connection.discard(n - 1)
    return numbers


def test_a_file_is_read_once_to_its_end(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport))) as reader:
        connections = [(connection.fps, read_numbers(connection)) for connection in reader]
    assert connections == [(FPS, list(range(FRAMES)))]


def test_a_source_that_drops_is_connected_again_until_the_timeout(transport: Path, stream: Make) -> None:
    content = transport.read_bytes()
    connections: list[list[int]] = []
    with (
        serve([content[: len(content) // 2], content]) as url,
        StreamReader(stream(url=url, reconnect_timeout=2.0)) as reader,
        pytest.raises(DataError, match="no frame for 2 s"),
    ):
        connections.extend(map(read_numbers, reader))
    first, second = connections
    assert second == list(range(len(second)))
    assert len(second) > 90  # frames inside the decoder are lost with the connection
    assert 20 < len(first) < 80
    assert first == list(range(len(first)))


@pytest.mark.parametrize(
    ("suffix", "edit"), [("mp4", "mirrored"), ("mp4", "rotated 90"), ("mkv", "change size"), ("mkv", "two tracks")]
)
def test_frames_are_those_of_a_run_on_the_file(tmp_path: Path, stream: Make, suffix: str, edit: str) -> None:
    odd = EDITS[edit](tmp_path / f"odd.{suffix}", "mpeg4 plain")
    with StreamReader(stream(url=str(odd.path))) as reader:
        for connection in reader:
            n, ended = 0, False
            while not ended:
                n, ended = connection.wait()
            pixels = sources.frames(Video("v", connection.folder, n, connection.fps, "live"), range(n), "")
            assert codes(odd.upright(pixels)) == odd.shown


def test_a_slanted_picture_is_an_error(tmp_path: Path, stream: Make) -> None:
    path = EDITS["plain"](tmp_path / "slanted.mp4", "mpeg4 plain").path
    path.write_bytes(with_matrix(path.read_bytes(), (0.8, 0.6, -0.6, 0.8)))
    with StreamReader(stream(url=str(path))) as reader, pytest.raises(VideoError, match=r"slanted\.mp4"):
        list(reader)


MOTION = [*range(0, 2000, 100), *range(12_000, 14_000, 100)]
"""Milliseconds: ten frames a second, with a pause in the middle."""


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_times_are_those_of_the_source(tmp_path: Path, stream: Make, suffix: str) -> None:
    path = write_timed(tmp_path / f"motion.{suffix}", MOTION)
    for fps, expected in ((None, [k / 1000 for k in MOTION]), (10.0, [k / 10 for k in range(40)])):
        with StreamReader(stream(url=str(path), fps=fps)) as reader:
            (seconds,) = (times_of_all_frames(connection) for connection in reader)
        assert seconds == pytest.approx(expected, abs=2e-3)


def times_of_all_frames(connection: Connection) -> list[float]:
    n, ended = 0, False
    while not ended:
        n, ended = connection.wait()
    video = Video("v", connection.folder, n, connection.fps, "live", connection.times(n))
    return [video.seconds(frame) for frame in range(n)]


def test_times_of_a_constant_rate_are_not_stored_for_the_video(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport))) as reader:
        for connection in reader:
            times_of_all_frames(connection)
            assert connection.times(FRAMES) is None


def test_the_clock_of_a_connection_ascends() -> None:
    connection = Connection(10.0, threading.Condition())
    try:
        for stamp in (90.0, 90.1, None, 90.5, 3.0, 3.2, 3.2):  # one is missing, then the clock is set back, then stands
            connection.append(np.zeros((2, 2, 3), dtype=np.uint8), stamp)
        times = connection.times(7)
        assert times is not None
        assert times.values.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.5, 0.6, 0.8, 0.9])
        connection.backlog_start = 2
        assert connection.waiting_seconds == pytest.approx(0.8)
        connection.discard(5)
        later = connection.times(7)
        assert later is not None
        assert [later.seconds(frame) for frame in (5, 6)] == pytest.approx([0.8, 0.9])
        assert connection.waiting_seconds == 0.0
    finally:
        connection.close()


def test_a_missing_server_is_an_error_after_the_timeout(stream: Make) -> None:
    with (
        StreamReader(stream(url="http://127.0.0.1:9/x", reconnect_timeout=0.6)) as reader,
        pytest.raises(DataError, match=r"no frame for 1 s: http://127.0.0.1:9/x: ConnectionRefusedError"),
    ):
        list(reader)


def test_a_growing_file_is_followed(transport: Path, tmp_path: Path, stream: Make) -> None:
    path = tmp_path / "growing.ts"
    with (
        growing_file(path, transport.read_bytes(), 20),
        StreamReader(stream(url=str(path), follow=True, reconnect_timeout=5.0)) as reader,
    ):
        assert [read_numbers(connection) for connection in reader] == [list(range(FRAMES))]


def test_a_file_is_not_read_faster_than_it_is_scored(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport), max_delay=2.0)) as reader:
        connections = iter(reader)
        connection = next(connections)
        for _ in range(5):
            n, ended = connection.wait()
        assert not ended
        assert n <= 2.0 * FPS + 1
        connection.backlog_start = 50
        while n < 70:
            n, ended = connection.wait()
        assert not ended
        assert n <= 50 + 2.0 * FPS + 1


def test_frames_of_a_camera_that_wait_too_long_are_lost_and_counted(
    transport: Path, stream: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serve([transport.read_bytes()]) as url,
        StreamReader(stream(url=url, max_delay=2.0, reconnect_timeout=0.5)) as reader,
    ):
        connections = iter(reader)
        first = next(connections)
        while not first.dropped:
            first.wait()
        assert first.n_frames <= 2.0 * FPS + 1
        later = []
        with pytest.raises(DataError, match="no frame"):
            later += [connection.n_frames for connection in connections]
        assert reader.lost_frames >= 2.0 * FPS
        assert sum(later) + reader.lost_frames <= FRAMES + 21
    assert "data.max_delay" in caplog.text


def test_an_rtsp_camera_is_read(transport: Path, stream: Make) -> None:
    """FFmpeg's RTSP on both sides, in two processes; the reader is the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"rtsp://127.0.0.1:{free.getsockname()[1]}/camera"
    command = [sys.executable, str(Path(__file__).parent / "push_rtsp.py"), str(transport), address]
    options = {"rtsp_flags": "listen", "listen_timeout": "4"}
    camera = stream(url=address, reconnect_timeout=20.0, options=options, fps=10.0)
    with subprocess.Popen(command) as push:
        with StreamReader(camera) as reader:
            connections = iter(reader)
            numbers = read_numbers(next(connections))
            connections.close()  # type: ignore[attr-defined]
        push.terminate()
    assert len(numbers) > 50
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("content", [b"", b"this is not a video"])
def test_a_file_that_is_not_a_video_is_an_error(tmp_path: Path, stream: Make, content: bytes) -> None:
    path = tmp_path / "x.ts"
    path.write_bytes(content)
    with StreamReader(stream(url=str(path))) as reader, pytest.raises(DataError, match=r"x\.ts: "):
        list(reader)


def test_a_missing_file_is_an_error(tmp_path: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(tmp_path / "no.ts"))) as reader, pytest.raises(DataError, match="no such file"):
        list(reader)


def test_frames_are_made_smaller_and_old_ones_deleted(transport: Path, stream: Make) -> None:
    with StreamReader(stream(url=str(transport), height=24)) as reader:
        for connection in reader:
            n, ended = 0, False
            while not ended:
                n, ended = connection.wait()
            video = Video("v", connection.folder, n, connection.fps, "live")
            assert sources.frames(video, [0, 99], "").shape == (2, 24, 32, 3)
            connection.discard(90)
            assert sorted(int(file.stem) for file in connection.folder.iterdir()) == list(range(90, 100))
            with pytest.raises(VideoError, match="frame 3 "):
                sources.frames(video, [3, 95], "")
            folder = connection.folder
    assert not folder.exists()


def test_a_password_is_written_nowhere(stream: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="password") as caught:
        stream(url="rtsp://user:secret@camera/1")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("CAMERA", "http://user:secret@127.0.0.1:9/1")
    camera = stream(url=None, url_env="CAMERA", reconnect_timeout=0.1)
    assert camera.name == "http://127.0.0.1:9/1"
    with StreamReader(camera) as reader, pytest.raises(DataError) as failed:
        list(reader)
    assert "secret" not in str(failed.value)
    assert "secret" not in repr(camera)
    monkeypatch.delenv("CAMERA")
    with pytest.raises(ConfigError, match="url_env=CAMERA"):
        _ = camera.name


@pytest.mark.parametrize(
    "fields",
    [{"url": None}, {"url_env": "X"}, {"max_delay": 0.0}, {"reconnect_timeout": -1.0}, {"fps": np.inf}, {"height": 0}],
)
def test_invalid_fields_are_refused(stream: Make, fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="data"):
        stream(**fields)
