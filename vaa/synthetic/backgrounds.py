"""The four backgrounds, by full light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vaa.synthetic.canvas import SIDE, Canvas, Colour, Label

Background = NDArray[np.float32]
"""Shape (SIDE, SIDE, 3), values 0..255."""


def _empty_canvas() -> Canvas:
    return Canvas(pixels=np.zeros((SIDE, SIDE, 3), np.float32), labels=np.zeros((SIDE, SIDE), np.uint8), light=1.0)


def _block(canvas: Canvas, box: tuple[float, float, float, float], colour: Colour) -> None:
    canvas.block(box, colour, Label.NOTHING)


def _street(rng: np.random.Generator) -> Background:
    canvas = _empty_canvas()
    _block(canvas, (0, 0, 64, 10), (165, 195, 220))
    for left in range(0, 64, 16):
        wall = float(rng.uniform(110, 170))
        top = float(rng.uniform(2, 10))
        _block(canvas, (left, top, left + 15, 34), (wall, wall * 0.85, wall * 0.75))
        for x in (left + 2, left + 9):
            for y in (12, 20, 28):
                _block(canvas, (x, y, x + 4, y + 4), (70, 85, 100))
    _block(canvas, (0, 33, 64, 42), (150, 148, 142))
    _block(canvas, (0, 42, 64, 64), (88, 88, 92))
    for left in range(int(rng.integers(0, 12)), 64, 14):
        _block(canvas, (left, 52, left + 7, 53.5), (215, 215, 200))
    return canvas.pixels


def _courtyard(rng: np.random.Generator) -> Background:
    canvas = _empty_canvas()
    _block(canvas, (0, 0, 64, 64), (100, 150, 80))
    _block(canvas, (0, 0, 64, 26), (170, 140, 115))
    for y in range(4, 26, 6):
        _block(canvas, (0, y, 64, y + 1), (140, 112, 92))
    _block(canvas, (0, 36, 64, 64), (190, 178, 150))
    for left in range(int(rng.integers(0, 8)), 64, 10):
        _block(canvas, (left, 36, left + 1, 64), (165, 152, 128))
    for x in rng.uniform(4, 60, 2):
        canvas.bar((float(x), 34), (float(x), 20), 2.5, (90, 62, 38), Label.NOTHING)
        canvas.disc((float(x), 15), (7, 8), (50, 105, 50), Label.NOTHING)
    return canvas.pixels


def _car_park(rng: np.random.Generator) -> Background:
    canvas = _empty_canvas()
    _block(canvas, (0, 0, 64, 64), (118, 120, 124))
    _block(canvas, (0, 0, 64, 14), (190, 205, 215))
    _block(canvas, (0, 14, 64, 18), (95, 110, 85))
    shift = int(rng.integers(0, 13))
    for left in range(-shift, 64, 13):
        _block(canvas, (left, 20, left + 1.5, 36), (225, 225, 220))
        if rng.random() < 0.5:
            grey = float(rng.uniform(90, 190))
            _block(canvas, (left + 3, 23, left + 11, 34), (grey, grey, grey * 1.05))
            _block(canvas, (left + 4, 25, left + 10, 28), (60, 70, 80))
    _block(canvas, (0, 60, 64, 62), (225, 225, 220))
    return canvas.pixels


def _corridor(rng: np.random.Generator) -> Background:
    canvas = _empty_canvas()
    _block(canvas, (0, 0, 64, 64), (205, 200, 180))
    _block(canvas, (0, 0, 64, 8), (235, 235, 230))
    for x in (12, 32, 52):
        _block(canvas, (x - 4, 2, x + 4, 5), (255, 255, 245))
    for left in range(int(rng.integers(2, 10)), 60, 20):
        _block(canvas, (left, 13, left + 10, 36), (125, 88, 58))
        _block(canvas, (left + 8, 25, left + 9, 27), (220, 200, 90))
    for row, y in enumerate(range(36, 64, 7)):
        for column, x in enumerate(range(0, 64, 8)):
            shade = 150.0 if (row + column) % 2 else 170.0
            _block(canvas, (x, y, x + 8, y + 7), (shade, shade, shade * 1.02))
    return canvas.pixels


BACKGROUNDS: dict[str, Callable[[np.random.Generator], Background]] = {
    "street": _street,
    "courtyard": _courtyard,
    "car park": _car_park,
    "corridor": _corridor,
}
"""By the name of the place."""
