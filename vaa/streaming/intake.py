"""A thread that reads a source for as long as it gives frames, and connects again where it drops."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from vaa import process
from vaa.errors import VaaError
from vaa.streaming.connection import Connection
from vaa.streaming.stream import LiveSource, Stream

log = logging.getLogger("vaa")
_FIRST_PAUSE, _LONGEST_PAUSE, _TICK = 0.5, 30.0, 0.2  # seconds
_GOODBYE = 15.0  # seconds for a read under way


class StreamReader:
    """The connections of a stream in order, each a Connection that fills while it is read.

    Of a live source no more than `late` seconds wait: then the connection is cut, and a new one begins with what comes.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream, self._changed = stream, threading.Condition()
        self._waiting: deque[Connection] = deque()
        self._over, self._stopped = False, threading.Event()
        self._error: VaaError | None = None
        self._thread = threading.Thread(target=self._read, name="intake", daemon=True)
        self.lost = 0

    def __enter__(self) -> StreamReader:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join(_GOODBYE)
        for connection in self._waiting:
            connection.close()

    def __iter__(self) -> Iterator[Connection]:
        """One connection after the other, until the source is given up or the run is interrupted.

        Raises:
            VaaError: the source failed, and is not one that could come back.
        """
        while not process.interrupt_requested():
            with self._changed:
                if self._waiting:
                    connection = self._waiting.popleft()
                elif self._over:
                    break
                else:
                    self._changed.wait(_TICK)
                    continue
            try:
                yield connection
            finally:
                connection.close()
        if self._error and not process.interrupt_requested():
            raise self._error

    def _read(self) -> None:
        try:
            self._error = self._connections()
        except Exception as error:  # nobody would hear of it in this thread
            self._error = VaaError(f"{self._stream.name}: {type(error).__name__}: {error} (a defect of vaa)")
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _connections(self) -> VaaError | None:
        """Read until the source is given up; why, if it should not have ended."""
        heard, pause, again = time.monotonic(), _FIRST_PAUSE, self._stream.remote
        while True:
            reason = None
            try:
                with self._stream.open(self._stopped.is_set) as source:
                    again = source.live
                    for _ in self._take(source):
                        heard, pause = time.monotonic(), _FIRST_PAUSE
            except VaaError as error:
                reason = error
            if self._stopped.is_set() or not again:
                return reason
            if time.monotonic() - heard > self._stream.patience:
                return VaaError(f"no frame for {self._stream.patience:.0f} s: {reason or self._stream.name}")
            log.warning("%s; connecting again in %.1f s.", reason or f"{self._stream.name} has ended", pause)
            self._stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _take(self, source: LiveSource) -> Iterator[None]:
        """Every frame of one connection, into its connection."""
        connection = None
        try:
            for pixels in source:
                connection = self._room(connection or self._begin(source), source)
                if self._stopped.is_set():
                    return
                connection.put(pixels)
                yield
        finally:
            if connection:
                self._end(connection)

    def _room(self, connection: Connection, source: LiveSource) -> Connection:
        """Where the next frame goes: what does not wait is cut, what can waits for the model."""
        most = self._stream.late * source.fps
        with self._changed:
            while not source.live and connection.n - connection.need > most and not self._stopped.is_set():
                self._changed.wait(_TICK)
            if not source.live or connection.n - connection.need <= most:
                return connection
            connection.cut, behind = True, connection.n - connection.need
            self.lost += behind
            if connection in self._waiting:
                self._waiting.remove(connection)
                connection.close()
        log.warning(
            "The model is more than %.1f s behind (data.late): %d frames are lost, what comes now is looked at anew. "
            "A quicker model or fewer segments would keep up.", self._stream.late, behind,
        )  # fmt: skip
        self._end(connection)
        return self._begin(source)

    def _begin(self, source: LiveSource) -> Connection:
        connection = Connection(source.fps, self._changed)
        with self._changed:
            self._waiting.append(connection)
            self._changed.notify_all()
        return connection

    def _end(self, connection: Connection) -> None:
        with self._changed:
            connection.ended = True
            self._changed.notify_all()
