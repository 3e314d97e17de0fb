"""An image being drawn, with a label for every pixel and the bounding box of what was drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Width and height of the synthetic images, in pixels."""

Colour = tuple[float, float, float]
_ROWS, _COLUMNS = (axis.astype(np.float32) + 0.5 for axis in np.mgrid[0:SIDE, 0:SIDE])


class Label(IntEnum):
    """What a pixel shows; the vision encoders of the tiny models are trained with these."""

    NOTHING = 0
    PERSON = 1
    RUNNER = 2
    FIGHTER = 3
    HUGGER = 4
    SITTER = 5
    LYING = 6
    HANDS_UP = 7
    DOG = 8
    BAG = 9
    CAR = 10
    LAMP = 11
    FIRE = 12
    BLAST = 13
    SMOKE = 14
    RED_CAR = 15


@dataclass(kw_only=True)
class Canvas:
    """Pixels (SIDE, SIDE, 3) in 0..255, labels (SIDE, SIDE), and the bounding box of what was drawn since `start_box`.

    Colours are multiplied by `light` unless they glow.
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.uint8]
    light: float
    extent: list[float] = field(default_factory=lambda: [SIDE, SIDE, 0.0, 0.0])

    def start_box(self) -> None:
        """Start a new bounding box."""
        self.extent = [SIDE, SIDE, 0.0, 0.0]

    def box(self) -> tuple[float, float, float, float] | None:
        """(x1, y1, x2, y2) in pixels of what was drawn since `start_box`; None where less than 3 x 3 is visible."""
        x1, y1, x2, y2 = self.extent
        return (x1, y1, x2, y2) if x2 - x1 >= 3 and y2 - y1 >= 3 else None

    def bar(
        self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour, label: Label
    ) -> None:
        """A thick line with round ends between two points (x, y)."""
        (x1, y1), (x2, y2) = start, end
        half = width / 2
        area = self._area(min(x1, x2) - half, min(y1, y2) - half, max(x1, x2) + half, max(y1, y2) + half)
        if area is None:
            return
        across, down = x2 - x1, y2 - y1
        right, below = _COLUMNS[area] - x1, _ROWS[area] - y1
        along = np.clip((right * across + below * down) / max(across**2 + down**2, 1e-6), 0, 1)
        distance = np.hypot(right - along * across, below - along * down)
        self._blend(area, np.clip(half + 0.5 - distance, 0, 1), colour, label)

    def disc(
        self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, label: Label, glow: bool = False
    ) -> None:
        """A filled ellipse."""
        (x, y), (rx, ry) = centre, radii
        area = self._area(x - rx, y - ry, x + rx, y + ry)
        if area is not None and rx > 0 and ry > 0:
            distance = np.hypot((_COLUMNS[area] - x) / rx, (_ROWS[area] - y) / ry)
            self._blend(area, np.clip((1 - distance) * min(rx, ry) + 0.5, 0, 1), colour, label, glow)

    def block(self, box: tuple[float, float, float, float], colour: Colour, label: Label, glow: bool = False) -> None:
        """A filled rectangle (x1, y1, x2, y2)."""
        area = self._area(*box)
        if area is not None:
            self._blend(area, np.ones_like(_ROWS[area]), colour, label, glow)

    def _area(self, x1: float, y1: float, x2: float, y2: float) -> tuple[slice, slice] | None:
        left, top = max(0.0, x1), max(0.0, y1)
        right, bottom = min(float(SIDE), x2), min(float(SIDE), y2)
        if right - left < 0.5 or bottom - top < 0.5:
            return None
        box = self.extent
        self.extent = [min(box[0], left), min(box[1], top), max(box[2], right), max(box[3], bottom)]
        return slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))

    def _blend(
        self,
        area: tuple[slice, slice],
        coverage: NDArray[np.floating],
        colour: Colour,
        label: Label,
        glow: bool = False,
    ) -> None:
        shade = np.asarray(colour, np.float32) * (1.0 if glow else self.light)
        patch = self.pixels[area]
        patch += coverage[..., None] * (shade - patch)
        self.labels[area][coverage > 0.5] = label
