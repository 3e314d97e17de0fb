"""Drawings of people in several poses, cars, dogs, fire and explosions. Positions are in pixels, `y` is the ground."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

from vaa.synthetic.canvas import Canvas, Colour, Label

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Clothes:
    """The colours of a person."""

    coat: Colour
    trousers: Colour
    skin: Colour


@dataclass(frozen=True, kw_only=True)
class Person:
    """Colours, size relative to 19 pixels, and the label of the pixels."""

    clothes: Clothes
    size: float
    label: Label = Label.PERSON


def standing(
    canvas: Canvas, person: Person, foot: Point, stride: float = 0.0, lean: float = 0.0, arms: float = 0.0
) -> None:
    """A person on `foot`: legs `stride` pixels apart, head `lean` pixels ahead, arms swung by `arms` pixels."""
    (x, y), s, clothes = foot, person.size, person.clothes
    hip, neck = (x + 0.3 * lean, y - 8 * s), (x + lean, y - 14 * s)
    for side in (-1, 1):
        canvas.bar((x + side * (stride + 1.2) * s, y - 1), hip, 2.4 * s, clothes.trousers, person.label)
        hand = (neck[0] + side * (2.4 + 0.2 * abs(arms)) * s + side * arms * s * 0.6, y - 8 * s)
        canvas.bar(neck, hand, 1.8 * s, clothes.coat, person.label)
    canvas.bar(hip, neck, 4.6 * s, clothes.coat, person.label)
    canvas.disc((neck[0] + 0.3 * lean, y - 17 * s), (2.3 * s, 2.5 * s), clothes.skin, person.label)


def raising_arms(canvas: Canvas, person: Person, foot: Point, wave: float) -> None:
    """A person with both arms up."""
    x, y = foot
    s = person.size
    standing(canvas, person, foot, stride=1)
    for side in (-1, 1):
        hand = (x + side * (6 + wave) * s, y - 20 * s)
        canvas.bar((x + side * 2 * s, y - 13 * s), hand, 2.2 * s, person.clothes.coat, person.label)
        canvas.disc(hand, (1.5 * s, 1.5 * s), person.clothes.skin, person.label)


def punching(canvas: Canvas, person: Person, foot: Point, face: int, reach: float) -> None:
    """A person in a wide stance who punches in direction `face` (+1, -1); `reach` 0..1."""
    x, y = foot
    s = person.size
    standing(canvas, person, foot, stride=3.6, lean=face * 2.4 * reach)
    shoulder = (x + face * 2 * s, y - 13 * s)
    for high, part in ((-14.5, reach), (-11.5, 1 - reach)):
        fist = (x + face * (4 + 5.5 * part) * s, y + high * s)
        canvas.bar(shoulder, fist, 2.2 * s, person.clothes.coat, person.label)
        canvas.disc(fist, (1.7 * s, 1.7 * s), person.clothes.skin, person.label)


def falling(canvas: Canvas, person: Person, foot: Point, face: int, angle: float) -> None:
    """A person at `angle` radians from the vertical (pi / 2: lying), falling in direction `face`."""
    (x, y), s, clothes = foot, person.size, person.clothes

    def point(length: float) -> Point:
        return x + face * sin(angle) * length * s, y - 2 - cos(angle) * length * s

    canvas.bar(point(0), point(8), 4.0 * s, clothes.trousers, person.label)
    canvas.bar(point(8), point(14), 5.0 * s, clothes.coat, person.label)
    canvas.disc(point(17), (2.5 * s, 2.5 * s), clothes.skin, person.label)


def sitting(canvas: Canvas, person: Person, foot: Point, face: int) -> None:
    """A person on a bench."""
    (x, y), s, clothes = foot, person.size, person.clothes
    canvas.block((x - 8, y - 6, x + 8, y - 4), (120, 80, 40), Label.SITTER)
    canvas.block((x - 7, y - 4, x - 5, y), (90, 60, 30), Label.SITTER)
    canvas.block((x + 5, y - 4, x + 7, y), (90, 60, 30), Label.SITTER)
    canvas.bar((x, y - 7), (x, y - 12 * s), 4.6 * s, clothes.coat, person.label)
    canvas.bar((x, y - 6), (x + face * 5, y - 6), 2.6 * s, clothes.trousers, person.label)
    canvas.bar((x + face * 5, y - 6), (x + face * 5, y - 1), 2.4 * s, clothes.trousers, person.label)
    canvas.disc((x, y - 15 * s), (2.3 * s, 2.5 * s), clothes.skin, person.label)


def bag(canvas: Canvas, at: Point, colour: Colour) -> None:
    """A handbag."""
    x, y = at
    canvas.block((x - 2.5, y, x + 2.5, y + 5), colour, Label.BAG)
    canvas.bar((x - 1.5, y), (x + 1.5, y - 2), 1.0, colour, Label.BAG)


def car(canvas: Canvas, at: Point, face: int, colour: Colour, label: Label) -> None:
    """A car seen from the side, `at` the ground under its middle, driving in direction `face`."""
    x, y = at
    canvas.block((x - 14, y - 9, x + 14, y - 2), colour, label)
    canvas.block((x - 8, y - 14, x + 8, y - 9), colour, label)
    canvas.block((x - 6.5, y - 13, x - 0.5, y - 9), (60, 75, 90), label)
    canvas.block((x + 0.5, y - 13, x + 6.5, y - 9), (60, 75, 90), label)
    for side in (-1, 1):
        canvas.disc((x + side * 8.5, y - 2), (3, 3), (25, 25, 25), label)
    canvas.disc((x + face * 13, y - 6.5), (1.6, 1.6), (255, 245, 190), label, glow=True)


def dog(canvas: Canvas, at: Point, face: int, stride: float) -> None:
    """A dog."""
    x, y = at
    coat = (95, 65, 35)
    for side in (-1, 1):
        canvas.bar((x + side * 3, y - 4), (x + side * 3 + stride, y), 1.4, coat, Label.DOG)
    canvas.bar((x - 3.5, y - 5), (x + 3.5, y - 5), 3.6, coat, Label.DOG)
    canvas.disc((x + face * 5.5, y - 7.5), (2.2, 2), coat, Label.DOG)


def fire(canvas: Canvas, at: Point, size: float, flicker: float) -> None:
    """Flames `size` pixels wide and about 1.4 times as high, with smoke above."""
    x, y = at
    for k in range(3):
        sway = 2 * sin(flicker + 2 * k)
        canvas.disc((x + sway, y - size * (1.3 + 0.35 * k)), (size * 0.35, size * 0.3), (85, 80, 80), Label.SMOKE)
    shades: tuple[tuple[float, Colour], ...] = ((1.0, (235, 70, 15)), (0.7, (255, 140, 20)), (0.4, (255, 225, 90)))
    for part, shade in shades:
        for k in (-1, 0, 1):
            high = size * part * (0.55 + 0.2 * sin(flicker * 1.7 + 2.1 * k) + (0.25 if k == 0 else 0))
            canvas.disc((x + k * size * 0.3 * part, y - high), (size * 0.26 * part, high), shade, Label.FIRE, glow=True)


def explosion(canvas: Canvas, at: Point, age: float, size: float) -> None:
    """An explosion of `age` seconds: a white and orange ball that grows, then dark smoke with sparks."""
    x, y = at
    growth = min(1.0, 0.35 + age * 1.6)
    cooling = max(0.0, min(1.0, (age - 1.0) / 2.5))
    radius = size * growth
    canvas.disc((x, y - radius * 0.6), (radius * 1.05, radius * 0.95), (70, 62, 60), Label.SMOKE)
    glowing = radius * (1 - 0.62 * cooling)
    label = Label.BLAST if cooling < 0.9 else Label.SMOKE
    canvas.disc((x, y - radius * 0.5), (glowing * 0.9, glowing * 0.8), (255, 150 - 60 * cooling, 30), label, glow=True)
    canvas.disc(
        (x, y - radius * 0.5), (glowing * 0.55, glowing * 0.5), (255, 245 - 90 * cooling, 180), label, glow=True
    )
    for k in range(6):
        turn = k * pi / 3 + 0.4
        far = radius * (0.9 + 0.5 * min(1.0, age))
        spark = (x + far * cos(turn), y - radius * 0.5 - far * 0.7 * sin(turn))
        canvas.disc(spark, (1.3, 1.3), (255, 190, 60), Label.BLAST, glow=True)
