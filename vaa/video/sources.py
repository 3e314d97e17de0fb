"""Frames of a video as arrays, by its number of frames and their numbers."""

from __future__ import annotations

import gc
import logging
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

from vaa import spool
from vaa.patience import decoding
from vaa.readers import ANEW, READERS, Decord, Reader
from vaa.types import Pixels, VaaError, Video, VideoError

log = logging.getLogger("vaa")


def probe(path: Path, reader: str) -> tuple[int, float]:
    """Number of frames and frames per second of a file.

    Raises:
        VideoError: the file is missing, is no video, or has no frame or no frame rate.
    """
    opened = decoding(path, lambda: _open(path, reader))
    if opened.n_frames < 1:
        raise VideoError(f"{path}: holds no video frame. Get the file again, or take it out.")
    if not 0 < opened.fps < math.inf:
        raise VideoError(f"{path}: says no frame rate. {ANEW}")
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
    if reader not in READERS:
        raise VaaError(f"reader={reader}: choose one of {', '.join(READERS)}.")
    if not path.is_file():
        raise VideoError(f"{path}: no such video file.")
    return _opened(os.getpid())(path, path.stat().st_mtime_ns, reader)


os.register_at_fork(after_in_child=gc.freeze)  # a file given up before, but not freed yet, must not be freed there


@cache
def _opened(_process: int) -> Callable[[Path, int, str], Reader]:
    """The last two files of this process; to touch those that were open when it was forked would abort it."""
    return lru_cache(maxsize=2)(_read)


def _read(path: Path, _changed: int, reader: str) -> Reader:
    opened: Reader = READERS[reader](path)
    return opened
