"""Frames as a vision tower takes them: squashed to its size, then every byte looked up in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vaa.errors import VaaError
from vaa.types import Pixels
from vaa.video import shared_memory

Size = tuple[int, int]


def resize_frames(
    frames: Sequence[Pixels] | Pixels, size: Size, resample: str, resize: str, shades: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Frames (h, w, 3) as (n, 3, height, width) for a `size` of (width, height); aspect not kept.

    `resample` is bicubic or bilinear, antialiased; `resize` is who does it. `shades` of shape (3, 256) is what becomes
    of each value of a byte.

    Raises:
        VaaError: an unknown way to resample or to resize.
    """
    for key, given, known in (("resample", resample, _FILTERS), ("resize", resize, tuple(RESIZERS))):
        if given not in known:
            raise VaaError(f"{key}={given}: choose one of {', '.join(known)}.")

    def fill(k: int, seen: NDArray[np.float32]) -> None:
        small = RESIZERS[resize](frames[k], size, resample)
        for channel in range(3):
            shades[channel].take(small[..., channel], out=seen[channel], mode="clip")  # in bounds: not to be checked

    return shared_memory.filled((len(frames), 3, size[1], size[0]), np.float32, fill)


def resized_by(resize: str) -> str:
    """What a model's identity says of it: nothing of PIL, whose answers were remembered before there was a choice."""
    return f" resize {resize}" if resize != "pil" else ""


def _by_pil(frame: Pixels, size: Size, resample: str) -> Pixels:
    """As the models were trained and their papers' numbers made."""
    from PIL import Image

    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling[resample.upper()]))


def _by_torch(frame: Pixels, size: Size, resample: str) -> Pixels:
    """Many times sooner; torchvision's bytes, of which one or two in a thousand are a grey level off PIL's, few two."""
    import torch

    pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
    pixels = pixels[None].permute(0, 3, 1, 2)  # in this order: else it is not known to lie channels last, and copied
    small = torch.nn.functional.interpolate(pixels, size=size[::-1], mode=resample, antialias=True, align_corners=False)
    return np.asarray(small.permute(0, 2, 3, 1)[0].numpy())


_FILTERS = ("bicubic", "bilinear")
RESIZERS: dict[str, Callable[[Pixels, Size, str], Pixels]] = {"pil": _by_pil, "torch": _by_torch}
"""Who makes a frame smaller: (h, w, 3), (width, height), the filter's name -> (height, width, 3)."""
