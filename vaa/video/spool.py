"""Frames of a stream that are kept for a while, a file each: what is written by one process any other can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vaa.errors import VaaError, VideoError
from vaa.types import Pixels, Video


def keep(folder: Path, number: int, pixels: Pixels) -> None:
    """Write a frame, RGB of shape (height, width, 3).

    Raises:
        VaaError: there is no room.
    """
    try:
        np.save(_file(folder, number), pixels, allow_pickle=False)
    except OSError as error:
        raise VaaError(
            f"{folder}: a frame cannot be kept ({error.strerror}): lower data.height or data.late."
        ) from error


def drop(folder: Path, number: int) -> None:
    """Forget a frame."""
    _file(folder, number).unlink(missing_ok=True)


def read(video: Video, numbers: Sequence[int]) -> Pixels:
    """The frames of these numbers, RGB of shape (n, height, width, 3).

    Raises:
        VideoError: one of them is not kept any more.
    """
    try:
        return np.stack([np.load(_file(video.path, number), allow_pickle=False) for number in numbers])
    except FileNotFoundError as error:
        gone = Path(error.filename).stem
        raise VideoError(
            f"{video.path}: its frame {gone} is not kept any more (the model was too late), or it is no stream."
        ) from error


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.npy"
