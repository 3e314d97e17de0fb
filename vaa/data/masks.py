"""Pixel masks on disk, one frame at a time: an array of all frames, or an image a frame. See PixelMasks (types.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.data.frame_labels import FrameLabels, load_array
from vaa.errors import DataError, VideoError
from vaa.types import XYXY, PixelMasks
from vaa.video.sources import numbered_images

Mask = NDArray[np.bool_]
"""Which pixels are abnormal, shape (height, width)."""


@dataclass(frozen=True)
class ArrayMasks:
    """An `.npy` file of the shape (frames, height, width); what is not 0 is abnormal."""

    file: Path

    def frame(self, number: int) -> Mask:
        """See PixelMasks."""
        return np.asarray(load_array(self.file)[number] != 0)


@dataclass(frozen=True)
class ImageMasks:
    """An image a frame; what is not 0 in any channel is abnormal."""

    files: Sequence[Path]

    def frame(self, number: int) -> Mask:
        """See PixelMasks."""
        pixels = load_image(self.files[number])
        return np.asarray(pixels.any(axis=2) if pixels.ndim == 3 else pixels != 0)


def open_array_masks(file: Path, n_frames: int) -> ArrayMasks | None:
    """The masks of an `.npy` file, None if there is no such file.

    Raises:
        VideoError: it has another number of frames, or is damaged.
    """
    if not file.is_file():
        return None
    try:
        shape = load_array(file).shape
    except DataError as error:
        raise VideoError(str(error)) from error
    if len(shape) != 3 or shape[0] != n_frames:
        raise VideoError(f"{file}: expected {n_frames} masks of (height, width), one a frame, not the shape {shape}.")
    return ArrayMasks(file)


def open_image_masks(folder: Path, allow_gaps: bool) -> ImageMasks:
    """The masks of a folder of images.

    Raises:
        VideoError: there is no such folder, or its numbers are not clear.
    """
    return ImageMasks(tuple(numbered_images(folder, allow_gaps)))


def load_image(file: Path) -> NDArray[Any]:
    """The values of an image, palettes as their numbers; shape (height, width) or (height, width, channels).

    Raises:
        DataError: the file is missing or damaged.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: cannot be decoded as an image: {error}") from error


def labels_of_masks(masks: PixelMasks, n_frames: int) -> FrameLabels:
    """Which frames have an abnormal pixel; this reads every mask.

    Raises:
        VideoError: a mask cannot be read.
    """
    try:
        return np.fromiter((masks.frame(number).any() for number in range(n_frames)), np.bool_, n_frames)
    except DataError as error:
        raise VideoError(str(error)) from error


def outline(mask: Mask) -> XYXY | None:
    """The box (x1, y1, x2, y2) around the abnormal pixels, x2 and y2 excluded; None if there are none."""
    ys, xs = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)) if len(xs) else None
