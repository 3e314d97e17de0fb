"""What is drawn: people in their poses, cars, dogs, fire and blasts. Positions are pixels, `y` is the ground."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

from vaa.synthetic.canvas import Canvas, Colour, Label

Point = tuple[float, float]


@dataclass(frozen=True)
class Dress:
    """The colours of a person."""

    coat: Colour
    trousers: Colour
    skin: Colour


@dataclass(frozen=True)
class Body:
    """A person's size relative to 1 (19 pixels tall), colours and the label of the pixels."""

    dress: Dress
    size: float
    label: Label = Label.PERSON


def upright(c: Canvas, body: Body, foot: Point, stride: float = 0.0, lean: float = 0.0, arms: float = 0.0) -> None:
    """A person on `foot`: legs `stride` pixels apart, head `lean` pixels ahead, arms swung by `arms` pixels."""
    (x, y), s, dress = foot, body.size, body.dress
    hip, neck = (x + 0.3 * lean, y - 8 * s), (x + lean, y - 14 * s)
    for side in (-1, 1):
        c.bar((x + side * (stride + 1.2) * s, y - 1), hip, 2.4 * s, dress.trousers, body.label)
        hand = (neck[0] + side * (2.4 + 0.2 * abs(arms)) * s + side * arms * s * 0.6, y - 8 * s)
        c.bar(neck, hand, 1.8 * s, dress.coat, body.label)
    c.bar(hip, neck, 4.6 * s, dress.coat, body.label)
    c.disc((neck[0] + 0.3 * lean, y - 17 * s), (2.3 * s, 2.5 * s), dress.skin, body.label)


def hands_up(c: Canvas, body: Body, foot: Point, wave: float) -> None:
    """A person who throws up both arms."""
    x, y = foot
    s = body.size
    upright(c, body, foot, stride=1)
    for side in (-1, 1):
        hand = (x + side * (6 + wave) * s, y - 20 * s)
        c.bar((x + side * 2 * s, y - 13 * s), hand, 2.2 * s, body.dress.coat, body.label)
        c.disc(hand, (1.5 * s, 1.5 * s), body.dress.skin, body.label)


def striking(c: Canvas, body: Body, foot: Point, face: int, reach: float) -> None:
    """A person in a wide stance who strikes in direction `face` (+1, -1); `reach` 0..1."""
    x, y = foot
    s = body.size
    upright(c, body, foot, stride=3.6, lean=face * 2.4 * reach)
    shoulder = (x + face * 2 * s, y - 13 * s)
    for high, part in ((-14.5, reach), (-11.5, 1 - reach)):
        fist = (x + face * (4 + 5.5 * part) * s, y + high * s)
        c.bar(shoulder, fist, 2.2 * s, body.dress.coat, body.label)
        c.disc(fist, (1.7 * s, 1.7 * s), body.dress.skin, body.label)


def tilted(c: Canvas, body: Body, foot: Point, face: int, angle: float) -> None:
    """A stiff body at `angle` radians from the vertical (pi / 2: lying), fallen in direction `face`."""
    (x, y), s, dress = foot, body.size, body.dress

    def at(length: float) -> Point:
        return x + face * sin(angle) * length * s, y - 2 - cos(angle) * length * s

    c.bar(at(0), at(8), 4.0 * s, dress.trousers, body.label)
    c.bar(at(8), at(14), 5.0 * s, dress.coat, body.label)
    c.disc(at(17), (2.5 * s, 2.5 * s), dress.skin, body.label)


def sitting(c: Canvas, body: Body, foot: Point, face: int) -> None:
    """A person on a bench."""
    (x, y), s, dress = foot, body.size, body.dress
    c.block((x - 8, y - 6, x + 8, y - 4), (120, 80, 40), Label.SITTER)
    c.block((x - 7, y - 4, x - 5, y), (90, 60, 30), Label.SITTER)
    c.block((x + 5, y - 4, x + 7, y), (90, 60, 30), Label.SITTER)
    c.bar((x, y - 7), (x, y - 12 * s), 4.6 * s, dress.coat, body.label)
    c.bar((x, y - 6), (x + face * 5, y - 6), 2.6 * s, dress.trousers, body.label)
    c.bar((x + face * 5, y - 6), (x + face * 5, y - 1), 2.4 * s, dress.trousers, body.label)
    c.disc((x, y - 15 * s), (2.3 * s, 2.5 * s), dress.skin, body.label)


def bag(c: Canvas, at: Point, colour: Colour) -> None:
    """A handbag."""
    x, y = at
    c.block((x - 2.5, y, x + 2.5, y + 5), colour, Label.BAG)
    c.bar((x - 1.5, y), (x + 1.5, y - 2), 1.0, colour, Label.BAG)


def car(c: Canvas, at: Point, face: int, colour: Colour, label: Label) -> None:
    """A car seen from the side, `at` the ground under its middle, driving in direction `face`."""
    x, y = at
    c.block((x - 14, y - 9, x + 14, y - 2), colour, label)
    c.block((x - 8, y - 14, x + 8, y - 9), colour, label)
    c.block((x - 6.5, y - 13, x - 0.5, y - 9), (60, 75, 90), label)
    c.block((x + 0.5, y - 13, x + 6.5, y - 9), (60, 75, 90), label)
    for side in (-1, 1):
        c.disc((x + side * 8.5, y - 2), (3, 3), (25, 25, 25), label)
    c.disc((x + face * 13, y - 6.5), (1.6, 1.6), (255, 245, 190), label, glow=True)


def dog(c: Canvas, at: Point, face: int, stride: float) -> None:
    """A dog."""
    x, y = at
    coat = (95, 65, 35)
    for side in (-1, 1):
        c.bar((x + side * 3, y - 4), (x + side * 3 + stride, y), 1.4, coat, Label.DOG)
    c.bar((x - 3.5, y - 5), (x + 3.5, y - 5), 3.6, coat, Label.DOG)
    c.disc((x + face * 5.5, y - 7.5), (2.2, 2), coat, Label.DOG)


def fire(c: Canvas, at: Point, size: float, flicker: float) -> None:
    """Flames `size` pixels wide and about 1.4 times as high, with smoke over them."""
    x, y = at
    for k in range(3):
        sway = 2 * sin(flicker + 2 * k)
        c.disc((x + sway, y - size * (1.3 + 0.35 * k)), (size * 0.35, size * 0.3), (85, 80, 80), Label.SMOKE)
    tones: tuple[tuple[float, Colour], ...] = ((1.0, (235, 70, 15)), (0.7, (255, 140, 20)), (0.4, (255, 225, 90)))
    for part, tone in tones:
        for k in (-1, 0, 1):
            high = size * part * (0.55 + 0.2 * sin(flicker * 1.7 + 2.1 * k) + (0.25 if k == 0 else 0))
            c.disc((x + k * size * 0.3 * part, y - high), (size * 0.26 * part, high), tone, Label.FIRE, glow=True)


def blast(c: Canvas, at: Point, age: float, size: float) -> None:
    """A blast `age` seconds old: a white and orange ball that swells, then dark smoke with embers."""
    x, y = at
    swell = min(1.0, 0.35 + age * 1.6)
    cooling = max(0.0, min(1.0, (age - 1.0) / 2.5))
    radius = size * swell
    c.disc((x, y - radius * 0.6), (radius * 1.05, radius * 0.95), (70, 62, 60), Label.SMOKE)
    glowing = radius * (1 - 0.62 * cooling)
    label = Label.BLAST if cooling < 0.9 else Label.SMOKE
    c.disc((x, y - radius * 0.5), (glowing * 0.9, glowing * 0.8), (255, 150 - 60 * cooling, 30), label, glow=True)
    c.disc((x, y - radius * 0.5), (glowing * 0.55, glowing * 0.5), (255, 245 - 90 * cooling, 180), label, glow=True)
    for k in range(6):
        turn = k * pi / 3 + 0.4
        far = radius * (0.9 + 0.5 * min(1.0, age))
        spark = (x + far * cos(turn), y - radius * 0.5 - far * 0.7 * sin(turn))
        c.disc(spark, (1.3, 1.3), (255, 190, 60), Label.BLAST, glow=True)
