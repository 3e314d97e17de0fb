"""A live source, read by PyAV: an RTSP or HTTP address, or a file that may still be growing."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaa.errors import ConfigError, DataError
from vaa.types import Pixels, local_path
from vaa.video.numbering import is_cover, orientation

_ADDRESS = re.compile(r"^\w+://")
_OPEN_TIMEOUT = 10.0  # seconds
_POLL = 0.1  # seconds between two reads at the end of a growing file


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What is received, and how far the model may fall behind.

    `url` is an address or a file. An address with a password comes from the environment variable named by `url_env`, so
    that it is written nowhere. `follow`: the file is still being written. `fps`: None for the source's own rate and
    time stamps. Frames higher than `height` pixels are made smaller. `max_delay`: seconds that a complete segment may
    wait for the model; then a camera's frames are lost, a file is read more slowly. `reconnect_timeout`: seconds
    without a frame after which the source has ended. `options` are FFmpeg's.

    Raises:
        ConfigError: the fields are invalid.
    """

    url: str | None
    url_env: str | None
    follow: bool
    fps: float | None
    height: int | None
    max_delay: float
    reconnect_timeout: float
    options: Mapping[str, str]

    def __post_init__(self) -> None:
        if (self.url is None) == (self.url_env is None):
            raise ConfigError(
                "data=stream: give data.url=ADDRESS, or data.url=null data.url_env=NAME, an environment variable."
            )
        if self.url and re.search(r"://[^/]*:[^/]*@", self.url):
            raise ConfigError(
                "data.url contains a password, and Hydra has written it into this run's .hydra/: remove that, put the "
                "address into an environment variable and give data.url=null data.url_env=NAME."
            )
        numbers = (self.max_delay, self.reconnect_timeout, *(n for n in (self.fps, self.height) if n is not None))
        if not all(0 < number < math.inf for number in numbers):
            raise ConfigError("data: max_delay, reconnect_timeout, fps and height must be above 0.")

    @property
    def name(self) -> str:
        """The address without user and password, for logs and files."""
        return re.sub(r"://[^/]*@", "://", self._address())

    @property
    def remote(self) -> bool:
        """Whether it is an address, which may become available later, and not a file."""
        return _ADDRESS.match(self._address()) is not None

    def _address(self) -> str:
        if self.url is not None:
            return self.url if _ADDRESS.match(self.url) else str(local_path(self.url))
        if address := os.environ.get(str(self.url_env)):
            return address
        raise ConfigError(f"data.url_env={self.url_env}: there is no such environment variable.")

    @contextmanager
    def open(self, stopped: Callable[[], bool]) -> Iterator[OpenStream]:
        """Connect once. `stopped` tells a growing file that no more frames are needed.

        Raises:
            DataError: the source cannot be opened, breaks off, or has no video.
        """
        import av

        address = self._address()
        if not self.remote and not Path(address).is_file():
            raise DataError(f"data.url={address}: no such file.")
        growing = self.follow and not self.remote
        timeout = _OPEN_TIMEOUT if self.remote else None
        try:
            with (
                closing(GrowingFile(Path(address), self.reconnect_timeout, stopped))
                if growing
                else nullcontext(address) as file,
                av.open(file, "r", timeout=timeout, options=dict(self.options)) as container,
            ):
                stream: Any = container.streams.best("video")
                if stream is None or is_cover(stream):
                    raise DataError(f"{self.name}: has no video stream.")
                stream.thread_type = "SLICE"  # threads for whole frames would each delay one
                fps = self.fps or float(stream.average_rate or stream.guessed_rate or 0)
                if not fps > 0:
                    raise DataError(f"{self.name}: has no frame rate; give data.fps.")
                live = self.remote and container.duration is None
                yield OpenStream(
                    name=self.name,
                    container=container,
                    stream=stream,
                    fps=fps,
                    height=self.height,
                    live=live,
                    timed=self.fps is None,
                )
        except (av.FFmpegError, OSError) as error:  # without its text, which contains the address
            raise DataError(f"{self.name}: {type(error).__name__} (errno {error.errno})") from None


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """RGB of shape (height, width, 3), and the time stamp in seconds where the source has one."""

    pixels: Pixels
    time: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenStream:
    """An open source and its track, which is the one of `open_track`.

    A `live` one loses frames that are not read in time. `timed`: frames have their own times.
    """

    name: str
    container: Any
    stream: Any
    fps: float
    height: int | None
    live: bool
    timed: bool

    def __iter__(self) -> Iterator[TimedFrame]:
        """Frames with their times, rotated and mirrored as players show them, in the size of the first one.

        Damaged frames of a live source are skipped: there are some at its start.

        Raises:
            DataError: a frame of a file is damaged.
            VideoError: players turn the picture by other than a multiple of 90 degrees.
        """
        size = None
        for frame in self.container.decode(self.stream):
            if frame.is_corrupt and self.live:
                continue
            if frame.is_corrupt:
                raise DataError("a frame is damaged: does the file play?")
            size = size or self._size(frame)
            pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
            shown = np.ascontiguousarray(orientation(self.name, frame).apply(pixels))
            yield TimedFrame(shown, frame.time if self.timed else None)

    def _size(self, frame: Any) -> tuple[int, int]:
        """Width and height in which frames are stored."""
        if self.height is None or frame.height <= self.height:
            return frame.width, frame.height
        return max(1, round(frame.width * self.height / frame.height)), self.height


class GrowingFile:
    """A file that is still being written; it has ended when nothing was added for `timeout` seconds."""

    def __init__(self, path: Path, timeout: float, stopped: Callable[[], bool]) -> None:
        self._file, self._timeout, self._stopped = path.open("rb"), timeout, stopped

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        deadline = time.monotonic() + self._timeout
        while not (content := self._file.read(size)) and time.monotonic() < deadline and not self._stopped():
            time.sleep(_POLL)
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()
