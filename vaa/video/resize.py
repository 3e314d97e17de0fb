"""Resize frames to a vision tower's input and normalise them, for InternVL, CLIP and SigLIP.

Elsewhere: other VLM families by the checkpoint's image processor, up to `max_pixels` (models/transformers/families.py);
frames for a server by a thumbnail of `max_side` (models/server/messages.py); frames of a stream when they are received
(streaming/stream.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError
from vaa.types import Pixels
from vaa.video import shared_memory

Size = tuple[int, int]
Resize = Literal["pil", "torch"]
"""A key of RESIZERS."""
Resample = Literal["bicubic", "bilinear"]


def resize_frames(
    frames: Sequence[Pixels] | Pixels, size: Size, resample: str, resize: Resize, table: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Resize frames (h, w, 3) to a `size` of (width, height), ignoring aspect ratio: (n, 3, height, width).

    Args:
        frames: RGB frames.
        size: Width and height of the result.
        resample: bicubic or bilinear, antialiased.
        resize: The library that resizes: pil or torch.
        table: The result's value for each byte of each channel, (3, 256).

    Raises:
        ConfigError: an unknown `resample` or `resize`.
    """
    for key, value, choices in (("resample", resample, _FILTERS), ("resize", resize, tuple(RESIZERS))):
        if value not in choices:
            raise ConfigError(f"{key}={value}: choose one of {', '.join(choices)}.")

    def fill_row(k: int, row: NDArray[np.float32]) -> None:
        small = RESIZERS[resize](frames[k], size, resample)
        for channel in range(3):
            table[channel].take(small[..., channel], out=row[channel], mode="clip")  # "clip" skips the bounds check

    return shared_memory.build_array((len(frames), 3, size[1], size[0]), np.float32, fill_row)


def resize_identity(resize: Resize) -> str:
    """The part of a model's identity; empty for pil, the default."""
    return f" resize {resize}" if resize != "pil" else ""


def _resize_with_pil(frame: Pixels, size: Size, resample: str) -> Pixels:
    """As the models were trained and the papers' results computed."""
    from PIL import Image

    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling[resample.upper()]))


def _resize_with_torch(frame: Pixels, size: Size, resample: str) -> Pixels:
    """Several times faster; one or two bytes in a thousand differ from PIL's by 1, few by 2, as in torchvision."""
    import torch

    pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
    pixels = pixels[None].permute(0, 3, 1, 2)  # recognised as channels-last only in this order; else it is copied
    small = torch.nn.functional.interpolate(pixels, size=size[::-1], mode=resample, antialias=True, align_corners=False)
    return np.asarray(small.permute(0, 2, 3, 1)[0].numpy())


_FILTERS = ("bicubic", "bilinear")
RESIZERS: dict[str, Callable[[Pixels, Size, str], Pixels]] = {"pil": _resize_with_pil, "torch": _resize_with_torch}
"""Functions of a frame (h, w, 3), a size (width, height) and a filter, returning (height, width, 3)."""
