"""Frames of a video as arrays, by its number of frames and their numbers."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

from vaa.errors import VaaError, VideoError
from vaa.process import decode_with_timeout
from vaa.types import Pixels, Video
from vaa.video import spool
from vaa.video.decoders import ANEW, DECODERS, Decoder, DecordDecoder

log = logging.getLogger("vaa")


def probe(path: Path, decoder: str) -> tuple[int, float]:
    """Number of frames and frames per second of a file.

    Raises:
        VideoError: the file is missing, is no video, or has no frame or no frame rate.
    """
    opened = decode_with_timeout(path, lambda: _open(path, decoder))
    if opened.n_frames < 1:
        raise VideoError(f"{path}: holds no video frame. Get the file again, or take it out.")
    if not 0 < opened.fps < math.inf:
        raise VideoError(f"{path}: says no frame rate. {ANEW}")
    return opened.n_frames, opened.fps


def frames(video: Video, numbers: Sequence[int], decoder: str) -> Pixels:
    """Decode frames of a video by number (ascending): RGB of shape (n, height, width, 3).

    A number one past the end, the usual slip of an annotation, gives the last frame.

    Raises:
        VideoError: the file is missing or damaged, hangs the decoder, or does not have such a frame.
    """
    return decode_with_timeout(video.path, lambda: _frames(video, numbers, decoder))


def _frames(video: Video, numbers: Sequence[int], decoder: str) -> Pixels:
    if video.path.is_dir():
        return spool.read(video, numbers)
    opened = _open(video.path, decoder)
    if abs(opened.n_frames - video.n_frames) > 1:
        _say_length(video.id, video.n_frames, opened.n_frames)
    if max(numbers) > opened.n_frames:
        raise VideoError(
            f"frame {max(numbers)} was asked for, but {video.path} has {opened.n_frames} frames and the data set says "
            f"{video.n_frames}: is it another encoding of the video?"
        )
    return opened.get([min(number, opened.n_frames - 1) for number in numbers])


def rest(shown: Video, decoder: str) -> None:
    """Decode nothing ahead: decord would, up to two thousand frames, which are 12 GB where they are 1920 by 1080."""
    with suppress(VideoError):  # its frames were had
        if shown.path.is_file() and isinstance(opened := _open(shown.path, decoder), DecordDecoder):
            opened.rest()


@cache
def _say_length(video: str, said: int, found: int) -> None:
    log.warning("%s: the data set says %d frames, the file has %d.", video, said, found)


def _open(path: Path, decoder: str) -> Decoder:
    if decoder not in DECODERS:
        raise VaaError(f"decoder={decoder}: choose one of {', '.join(DECODERS)}.")
    if not path.is_file():
        raise VideoError(f"{path}: no such video file.")
    return _opened(os.getpid())(path, path.stat().st_mtime_ns, decoder)


@cache
def _opened(_process: int) -> Callable[[Path, int, str], Decoder]:
    """The last two files of this process; to touch those that were open when it was forked would abort it."""
    return lru_cache(maxsize=2)(_read)


def _read(path: Path, _changed: int, decoder: str) -> Decoder:
    opened: Decoder = DECODERS[decoder](path)
    return opened
