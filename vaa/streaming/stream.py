"""A source of frames that may drop and come back: an RTSP, HTTP or file address, read by PyAV."""

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

from vaa.errors import VaaError
from vaa.types import Pixels

_ADDRESS = re.compile(r"^\w+://")
_WAIT = 10.0  # seconds for the source to answer
_LOOK = 0.1  # seconds between two looks at a file that grows


@dataclass(frozen=True)
class Stream:
    """What is watched, and how far the model may fall behind.

    `url`: an address or a file; one with a password comes from the environment variable named by `url_from`, so that it
    is written nowhere. `follow`: the file is still being written. `fps`: None for what the source says. Frames higher
    than `height` pixels are reduced to it. `late`: seconds that a finished segment may wait for the model; of a camera
    the rest is then lost, a file is read no further. `patience`: seconds without a frame before it is given up.
    `options` go to FFmpeg.
    """

    url: str | None
    url_from: str | None
    follow: bool
    fps: float | None
    height: int | None
    late: float
    patience: float
    options: Mapping[str, str]

    def __post_init__(self) -> None:
        if (self.url is None) == (self.url_from is None):
            raise VaaError(
                "data=stream: give data.url=ADDRESS, or data.url=null data.url_from=NAME, the variable that holds it."
            )
        if self.url and re.search(r"://[^/]*:[^/]*@", self.url):
            raise VaaError(
                "data.url holds a password, and Hydra has written it into this run's .hydra/: remove that, keep the "
                "address in an environment variable and say data.url=null data.url_from=NAME."
            )
        numbers = (self.late, self.patience, *(n for n in (self.fps, self.height) if n is not None))
        if not all(0 < number < math.inf for number in numbers):
            raise VaaError("data: late, patience, fps and height must be above 0.")

    @property
    def name(self) -> str:
        """What logs and files call it: the address without user and password."""
        return re.sub(r"://[^/]*@", "://", self._address())

    @property
    def remote(self) -> bool:
        """Whether it is an address, which may answer later, not a file."""
        return _ADDRESS.match(self._address()) is not None

    def _address(self) -> str:
        if self.url is not None:
            return self.url
        if found := os.environ.get(str(self.url_from)):
            return found
        raise VaaError(f"data.url_from={self.url_from}: there is no such environment variable.")

    @contextmanager
    def open(self, ended: Callable[[], bool]) -> Iterator[LiveSource]:
        """The source, once; `ended` says that nobody waits for it any more.

        Raises:
            VaaError: it cannot be opened, breaks off, or has no video.
        """
        import av

        address = self._address()
        if not self.remote and not Path(address).is_file():
            raise VaaError(f"data.url={address}: no such file.")
        growing = closing(GrowingFile(Path(address), self.patience, ended)) if self.follow and not self.remote else None
        try:
            with (
                growing or nullcontext(address) as file,
                av.open(file, "r", timeout=_WAIT if self.remote else None, options=dict(self.options)) as container,
            ):
                if not container.streams.video:
                    raise VaaError(f"{self.name}: has no video stream.")
                stream = container.streams.video[0]
                stream.thread_type = "SLICE"  # threads for whole frames would each hold one back
                fps = self.fps or float(stream.average_rate or stream.guessed_rate or 0)
                if not fps > 0:
                    raise VaaError(f"{self.name}: says no frame rate; give data.fps.")
                yield LiveSource(container, fps, self.height, self.remote and container.duration is None)
        except (av.FFmpegError, OSError) as error:  # its text would hold the address
            raise VaaError(f"{self.name}: {type(error).__name__} (errno {error.errno})") from None


@dataclass(frozen=True, eq=False)
class LiveSource:
    """An open source; one that is `live` does not wait."""

    container: Any
    fps: float
    height: int | None
    live: bool

    def __iter__(self) -> Iterator[Pixels]:
        """Frames as RGB (height, width, 3); of a live source damaged ones, as at its beginning, are passed over."""
        for frame in self.container.decode(video=0):
            if frame.is_corrupt and self.live:
                continue
            if frame.is_corrupt:
                raise VaaError("a frame is damaged: does the file play?")
            yield self._pixels(frame)

    def _pixels(self, frame: Any) -> Pixels:
        size = {}
        if self.height is not None and frame.height > self.height:
            size = {"width": max(1, round(frame.width * self.height / frame.height)), "height": self.height}
        pixels = frame.to_ndarray(format="rgb24", **size)
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


class GrowingFile:
    """A file that is still being written: its end is where nothing has come for `patience` seconds."""

    def __init__(self, path: Path, patience: float, ended: Callable[[], bool]) -> None:
        self._file, self._patience, self._ended = path.open("rb"), patience, ended

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        until = time.monotonic() + self._patience
        while not (found := self._file.read(size)) and time.monotonic() < until and not self._ended():
            time.sleep(_LOOK)
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
