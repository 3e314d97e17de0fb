"""Pixel masks on disk, one frame at a time: an array of all frames, or an image a frame. See PixelMasks (types.py)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.data.frame_labels import FrameLabels, load_array
from vaa.errors import DataError, VideoError
from vaa.types import XYXY, Box, GroundTruth, PixelMasks
from vaa.video.sources import numbered_images

log = logging.getLogger("vaa")
_MAX_OUTLINES = 400  # of a video
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


@dataclass(frozen=True)
class OutlineMasks:
    """The masks of a finished run, of which only boxes on some frames are stored: a frame has those of the last one.

    A mask is as large as the boxes need.
    """

    boxes: tuple[Box, ...]

    def frame(self, number: int) -> Mask:
        """See PixelMasks."""
        last = max((box.frame for box in self.boxes if box.frame <= number), default=None)
        width, height = (int(max(box.xyxy[side] for box in self.boxes)) for side in (2, 3))
        mask = np.zeros((height, width), dtype=np.bool_)
        for x1, y1, x2, y2 in (map(int, box.xyxy) for box in self.boxes if box.frame == last):
            mask[y1:y2, x1:x2] = True
        return mask


def boxes_at(truth: GroundTruth, frame: int) -> tuple[Box, ...]:
    """What is annotated on a frame: its boxes, or without any the box around the abnormal pixels of its mask.

    Raises:
        DataError: the mask cannot be read.
    """
    boxes = tuple(box for box in truth.boxes if box.frame == frame)
    if boxes or truth.masks is None or not any(span.start <= frame < span.stop for span in truth.spans):
        return boxes
    box = outline(truth.masks.frame(frame))
    return (Box(frame, box, 1.0),) if box else ()


def outlines(truth: GroundTruth, fps: float) -> tuple[Box, ...]:
    """The boxes around the abnormal pixels on annotated frames, two a second and at most 400; none without masks.

    A mask that cannot be read ends the list, with a warning.
    """
    if truth.masks is None:
        return ()
    n_frames = sum(span.stop - span.start for span in truth.spans)
    step = max(1, round((fps or 25.0) / 2), -(-n_frames // _MAX_OUTLINES))
    boxes: list[Box] = []
    for frame in (frame for span in truth.spans for frame in range(span.start, span.stop, step)):
        try:
            box = outline(truth.masks.frame(frame))
        except (DataError, IndexError) as error:
            log.warning("The masks from frame %d on are not shown: %s", frame, error)
            break
        boxes += [Box(frame, box, 1.0)] if box else []
    return tuple(boxes)
