"""Frames of a video as arrays; the only file that decodes."""

from __future__ import annotations

import gc
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vaa import spool
from vaa.patience import decoding
from vaa.types import Pixels, VaaError, Video, VideoError

log = logging.getLogger("vaa")
_ANEW = "Write it anew: ffmpeg -i OLD -vf setpts=N/25/TB -r 25 NEW.mp4 (with its own rate for 25)."


@runtime_checkable
class Reader(Protocol):
    """An open video file."""

    n_frames: int
    fps: float

    def get(self, numbers: Sequence[int]) -> Pixels:
        """The frames of these numbers, ascending, as RGB of shape (n, height, width, 3)."""


def probe(path: Path, reader: str) -> tuple[int, float]:
    """Number of frames and frames per second of a file.

    Raises:
        VideoError: the file is missing, is no video, or has no frame or no frame rate.
    """
    opened = decoding(path, lambda: _open(path, reader))
    if opened.n_frames < 1:
        raise VideoError(f"{path}: holds no video frame. Get the file again, or take it out.")
    if not 0 < opened.fps < math.inf:
        raise VideoError(f"{path}: says no frame rate. {_ANEW}")
    return opened.n_frames, opened.fps


def frames(video: Video, numbers: Sequence[int], reader: str) -> Pixels:
    """Decode frames of a video by number (ascending): RGB of shape (n, height, width, 3).

    A number one past the end, the usual slip of an annotation, gives the last frame.

    Raises:
        VideoError: the file is missing or damaged, hangs the decoder, or does not have such a frame.
    """
    return decoding(video.path, lambda: _frames(video, numbers, reader))


def _frames(video: Video, numbers: Sequence[int], reader: str) -> Pixels:
    if video.path.is_dir():
        return spool.read(video, numbers)
    opened = _open(video.path, reader)
    if abs(opened.n_frames - video.n_frames) > 1:
        _say_length(video.id, video.n_frames, opened.n_frames)
    if max(numbers) > opened.n_frames:
        raise VideoError(
            f"frame {max(numbers)} was asked for, but {video.path} has {opened.n_frames} frames and the data set says "
            f"{video.n_frames}: is it another encoding of the video?"
        )
    return opened.get([min(number, opened.n_frames - 1) for number in numbers])


def rest(shown: Video, reader: str) -> None:
    """Decode nothing ahead: decord would, up to two thousand frames, which are 12 GB where they are 1920 by 1080."""
    with suppress(VideoError):  # its frames were had
        if shown.path.is_file() and isinstance(opened := _open(shown.path, reader), Decord):
            opened.rest()


@cache
def _say_length(video: str, said: int, found: int) -> None:
    log.warning("%s: the data set says %d frames, the file has %d.", video, said, found)


def _open(path: Path, reader: str) -> Reader:
    if reader not in _READERS:
        raise VaaError(f"reader={reader}: choose one of {', '.join(_READERS)}.")
    if not path.is_file():
        raise VideoError(f"{path}: no such video file.")
    return _opened(os.getpid())(path, path.stat().st_mtime_ns, reader)


os.register_at_fork(after_in_child=gc.freeze)  # a file given up before, but not freed yet, must not be freed there


@cache
def _opened(_process: int) -> Callable[[Path, int, str], Reader]:
    """The last two files of this process; to touch those that were open when it was forked would abort it."""
    return lru_cache(maxsize=2)(_read)


def _read(path: Path, _changed: int, reader: str) -> Reader:
    opened: Reader = _READERS[reader](path)
    return opened


class Decord:
    """The default: fast random access. It has no AV1 decoder."""

    def __init__(self, path: Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._path, self._errors = path, (RuntimeError, decord.DECORDError)
        self._reader = self._try(lambda: decord.VideoReader(str(path), num_threads=1))
        self.n_frames, self.fps = len(self._reader), float(self._reader.get_avg_fps())
        self._check_times(self._try(lambda: self._reader.get_frame_timestamp(range(self.n_frames))))

    def _check_times(self, times: Any) -> None:
        """Decord finds frames by their times: where these do not tell them apart it gives others, and says nothing."""
        if self.n_frames and (times[0, 0] < 0 or (np.diff(times[:, 0]) <= 0).any()):
            raise VideoError(
                f"{self._path}: decord would number its frames wrongly (an edit list hides some, or several have one "
                f"time). Use reader=pyav. Or: {_ANEW}"
            )

    def get(self, numbers: Sequence[int]) -> Pixels:
        """See Reader."""
        return np.asarray(self._try(lambda: self._reader.get_batch(list(numbers)).asnumpy()), dtype=np.uint8)

    def rest(self) -> None:
        """Decode no further: left alone, decord goes on behind the last frame that was asked for."""
        self._try(lambda: self._reader.seek(0))

    def _try(self, action: Any) -> Any:
        try:
            return action()
        except self._errors as error:
            raise VideoError(
                f"{self._path}: decord cannot decode it (damaged, not a video, or a codec it lacks, such as AV1). "
                f"Does it play? Try reader=pyav. [{str(error).strip().splitlines()[-1][:120] if str(error) else ''}]"
            ) from error


class PyAV:
    """The second: one forward pass, every codec FFmpeg knows; going back starts again from the beginning."""

    def __init__(self, path: Path) -> None:
        import av

        self._av, self._path = av, path
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise VideoError(f"{path}: has no video stream, only sound or text. Take it out of the folder.")
                stream = container.streams.video[0]
                self.fps = float(stream.average_rate or 0)
                # Not stream.frames: it is what the header says, and an edit list hides some of them.
                self.n_frames = sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))
        except av.FFmpegError as error:
            raise VideoError(
                f"{path}: FFmpeg cannot open it: is it a video, and whole? Does it play? [{error}]"
            ) from error
        self._next = 0
        self._stream: Iterator[Any] = iter(())

    def get(self, numbers: Sequence[int]) -> Pixels:
        """See Reader."""
        if not self._next or min(numbers) < self._next:
            container = self._av.open(str(self._path))
            container.streams.video[0].thread_type = "AUTO"
            self._next, self._stream = 0, container.decode(video=0)
        found: dict[int, Pixels] = {}
        try:
            while self._next <= max(numbers):
                frame = next(self._stream)
                if self._next in numbers:
                    found[self._next] = self._upright(frame)
                self._next += 1
        except (StopIteration, self._av.FFmpegError) as error:
            self._next = 0
            raise VideoError(
                f"{self._path}: decoding stopped before frame {max(numbers)} of {self.n_frames}: is the file damaged "
                f"or cut? Get it again, or write anew what is left: ffmpeg -i OLD NEW.mp4. [{str(error)[:120]}]"
            ) from error
        return np.stack([found[number] for number in numbers])

    def _upright(self, frame: Any) -> Pixels:
        """As players show it.

        Raises:
            VideoError: the picture is damaged, and the decoder has made something up.
        """
        if frame.is_corrupt:
            number, self._next = self._next, 0
            raise VideoError(f"{self._path}: frame {number} is damaged. Does it play? Get the file again.")
        return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))


_READERS: dict[str, Any] = {"decord": Decord, "pyav": PyAV}
