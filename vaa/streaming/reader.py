"""Receives a stream in a thread: stores its frames in files for other processes, reconnects when it drops."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Condition
from types import TracebackType

import numpy as np

from vaa import process
from vaa.errors import DataError, OutputError, VaaError
from vaa.frame_times import FrameTimes
from vaa.streaming.stream import OpenStream, Stream
from vaa.types import Pixels
from vaa.video.sources import live_frame_file

log = logging.getLogger("vaa")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, a folder of our own is made in it
_POLL = 0.2  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to connect
_JOIN_TIMEOUT = 15.0  # seconds for a read in progress


class Connection:
    """One uninterrupted part of a stream, of which the frames [first, n_frames) are stored.

    `backlog_start` is the end of the first segment that waits for the model, `n_frames` if there is none. The reader's
    thread writes, the thread that scores reads; what they share is changed while `changed` is locked.
    """

    def __init__(self, fps: float, changed: Condition) -> None:
        memory = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="vaa-", dir=memory))
        self.fps, self.changed = fps, changed
        self.n_frames = self.first = self.backlog_start = 0
        self.ended = self.dropped = False
        self._last_count = 0
        self._arrival_times: dict[int, float] = {}
        self._times: dict[int, float] = {}  # in seconds from the first frame, of the stored frames
        self._offset: float | None = None
        self._rate_varies = False

    @property
    def backlog(self) -> int:
        """Frames received since the first waiting segment was complete."""
        return self.n_frames - self.backlog_start

    @property
    def waiting_seconds(self) -> float:
        """How much of the stream was received since the first waiting segment was complete."""
        start = self._times.get(self.backlog_start)
        return 0.0 if start is None else round(self._times[self.n_frames - 1] - start + 1 / self.fps, 6)

    def times(self, n_frames: int) -> FrameTimes | None:
        """The times of the stored ones of the first `n_frames` frames; None while frame / fps is as good."""
        if not self._rate_varies:
            return None
        return FrameTimes(np.array([self._times[k] for k in range(self.first, n_frames)]), self.first)

    def append(self, pixels: Pixels, time_stamp: float | None) -> None:
        """Store the next frame; one without a time stamp, or with an earlier one, follows the last as the rate says.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            np.save(live_frame_file(self.folder, self.n_frames), pixels, allow_pickle=False)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: a frame cannot be stored ({error.strerror}): lower data.height or data.max_delay."
            ) from error
        with self.changed:
            self._arrival_times[self.n_frames] = time.monotonic()
            self._add_time(time_stamp)
            self.n_frames += 1
            self.changed.notify_all()

    def _add_time(self, time_stamp: float | None) -> None:
        """The clock of the source may start anywhere and be set back; that of the connection starts at 0 and ascends.

        As in files (`variable_times`), the rate varies where frame / fps is more than half a frame off.
        """
        number, previous = self.n_frames, self._times.get(self.n_frames - 1)
        seconds = 0.0 if previous is None else previous + 1 / self.fps
        if time_stamp is not None:
            if previous is not None and self._offset is not None and time_stamp - self._offset > previous:
                seconds = time_stamp - self._offset
            self._offset = time_stamp - seconds
        self._times[number] = seconds
        self._rate_varies |= abs(seconds * self.fps - number) > 0.5

    def wait(self) -> tuple[int, bool]:
        """Wait briefly for frames after those of the last call; returns the number of frames and whether it ended."""
        with self.changed:
            if self.n_frames == self._last_count and not self.ended:
                self.changed.wait(_POLL)
            self._last_count = self.n_frames
            return self.n_frames, self.ended

    def age(self, frame: int) -> float:
        """Seconds since a stored frame arrived."""
        return time.monotonic() - self._arrival_times[frame]

    def discard(self, before: int) -> None:
        """Delete the frames before this one."""
        for number in range(self.first, before):
            live_frame_file(self.folder, number).unlink(missing_ok=True)
            self._arrival_times.pop(number, None)
            self._times.pop(number, None)
        self.first = max(self.first, before)

    def close(self) -> None:
        """Delete all frames."""
        shutil.rmtree(self.folder, ignore_errors=True)


class StreamReader:
    """Yields the connections of a stream in order, each a Connection that grows while it is read.

    When segments of a live source have waited more than `max_delay` seconds for the model, the connection is dropped
    and a new one starts with the next frame.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream, self._changed = stream, Condition()
        self._connections: deque[Connection] = deque()
        self._finished, self._stop = False, threading.Event()
        self._error: VaaError | None = None
        self._thread = threading.Thread(target=self._run, name="stream-reader", daemon=True)
        self.lost_frames = 0

    def __enter__(self) -> StreamReader:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(_JOIN_TIMEOUT)
        for connection in self._connections:
            connection.close()

    def __iter__(self) -> Iterator[Connection]:
        """One connection after another, until the source ends for good or the run is interrupted.

        Raises:
            DataError: the source failed, and did not come back within `reconnect_timeout`.
        """
        while not process.interrupt_requested():
            with self._changed:
                if self._connections:
                    connection = self._connections.popleft()
                elif self._finished:
                    break
                else:
                    self._changed.wait(_POLL)
                    continue
            try:
                yield connection
            finally:
                connection.close()
        if self._error and not process.interrupt_requested():
            raise self._error

    def _run(self) -> None:
        try:
            self._error = self._receive_all()
        except Exception as error:  # otherwise it would be lost with this thread
            self._error = VaaError(f"{self._stream.name}: {type(error).__name__}: {error} (a defect of vaa)")
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _receive_all(self) -> VaaError | None:
        """Receive until the source ends for good; returns the error that ended it, if any."""
        last_frame, pause, reconnect = time.monotonic(), _FIRST_PAUSE, self._stream.remote
        while True:
            reason = None
            try:
                with self._stream.open(self._stop.is_set) as source:
                    reconnect = source.live
                    for _ in self._receive(source):
                        last_frame, pause = time.monotonic(), _FIRST_PAUSE
            except VaaError as error:
                reason = error
            if self._stop.is_set() or not reconnect:
                return reason
            if time.monotonic() - last_frame > self._stream.reconnect_timeout:
                return DataError(f"no frame for {self._stream.reconnect_timeout:.0f} s: {reason or self._stream.name}")
            log.warning("%s; connecting again in %.1f s.", reason or f"{self._stream.name} has ended", pause)
            self._stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _receive(self, source: OpenStream) -> Iterator[None]:
        """Append every frame of an open source to its connection."""
        connection = None
        try:
            for frame in source:
                connection = self._limit_backlog(connection or self._new_connection(source), source)
                if self._stop.is_set():
                    return
                connection.append(frame.pixels, frame.time)
                yield
        finally:
            if connection:
                self._end(connection)

    def _limit_backlog(self, connection: Connection, source: OpenStream) -> Connection:
        """The connection for the next frame: a file waits for the model, a live source drops the connection."""
        limit = self._stream.max_delay
        with self._changed:
            while not source.live and connection.waiting_seconds > limit and not self._stop.is_set():
                self._changed.wait(_POLL)
            if not source.live or connection.waiting_seconds <= limit:
                return connection
            connection.dropped, lost = True, connection.backlog
            self.lost_frames += lost
            if connection in self._connections:
                self._connections.remove(connection)
                connection.close()
        log.warning(
            "The model is more than %.1f s behind (data.max_delay): %d frames are lost, scoring starts again with the "
            "next frame. Use a faster model or fewer segments.", self._stream.max_delay, lost,
        )  # fmt: skip
        self._end(connection)
        return self._new_connection(source)

    def _new_connection(self, source: OpenStream) -> Connection:
        connection = Connection(source.fps, self._changed)
        with self._changed:
            self._connections.append(connection)
            self._changed.notify_all()
        return connection

    def _end(self, connection: Connection) -> None:
        with self._changed:
            connection.ended = True
            self._changed.notify_all()
