"""How every kind of event looks at a moment: `act(canvas, cast, t, seconds)`, t in seconds since its start.

An anomaly with a lead is also acted at negative t, when it is still something ordinary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi, sin

from vaa.synthetic import figures as draw
from vaa.synthetic.canvas import Canvas, Colour, Label


@dataclass(frozen=True)
class Cast:
    """Who acts, where (x of the middle, y of the ground, pixels), facing which way (+1, -1), at what phase."""

    x: float
    y: float
    face: int
    phase: float
    size: float
    first: draw.Dress
    second: draw.Dress
    car: Colour
    bag: Colour


Act = Callable[[Canvas, Cast, float, float], None]


def _body(cast: Cast, label: Label = Label.PERSON, second: bool = False) -> draw.Body:
    return draw.Body(cast.second if second else cast.first, cast.size, label)


def _crossing(cast: Cast, t: float, seconds: float, margin: float) -> float:
    """Where (x) someone is who crosses the whole picture in `seconds`."""
    way = -margin + (64 + 2 * margin) * t / seconds
    return way if cast.face > 0 else 64 - way


def walk(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A person crosses the picture."""
    x = _crossing(cast, t, seconds, 4)
    swing = 2.4 * sin(7 * t + cast.phase)
    draw.upright(c, _body(cast), (x, cast.y), stride=abs(swing), arms=swing / 2)


def wait(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A person stands about."""
    draw.upright(c, _body(cast), (cast.x + 0.5 * sin(t + cast.phase), cast.y))


def talk(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """Two people face each other at arm's length."""
    for side in (-1, 1):
        nod = 0.6 * sin(3 * t + cast.phase + side)
        draw.upright(c, _body(cast, second=side > 0), (cast.x + side * 6, cast.y), lean=-side * 0.5 + nod * 0.3)


def hug(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """Two people hold each other: the nearest an ordinary thing comes to a fight."""
    sway = 0.6 * sin(2 * t + cast.phase)
    for side in (-1, 1):
        body = _body(cast, Label.HUGGER, second=side > 0)
        draw.upright(c, body, (cast.x + side * 2.6, cast.y), lean=-side * 1.2 + sway)
        shoulder = (cast.x + side * 1.5 + sway, cast.y - 13 * cast.size)
        c.bar(shoulder, (cast.x - side * 3.5 + sway, cast.y - 11.5 * cast.size), 2, body.dress.coat, body.label)


def jog(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A person runs through the picture, again and again."""
    pace = seconds / max(1.0, round(seconds / 2.2))
    x = _crossing(cast, t % pace, pace, 5)
    _run(c, cast, (x, cast.y), cast.face, t)


def _run(c: Canvas, cast: Cast, foot: draw.Point, face: int, t: float) -> None:
    swing = 4.5 * sin(13 * t + cast.phase)
    spot = (foot[0], foot[1] - abs(sin(13 * t)))
    draw.upright(c, _body(cast, Label.RUNNER), spot, stride=1.2 + abs(swing), lean=face * 2.6, arms=swing / 1.5)


def dog_walk(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A person crosses with a dog on a lead."""
    walk(c, cast, t, seconds)
    x = _crossing(cast, t, seconds, 4) + cast.face * 10
    c.bar((x - cast.face * 4, cast.y - 6), (x - cast.face * 8, cast.y - 8), 0.7, (40, 40, 40), Label.PERSON)
    draw.dog(c, (x, cast.y), cast.face, 1.5 * sin(9 * t))


def carry_bag(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A person crosses with a bag."""
    walk(c, cast, t, seconds)
    draw.bag(c, (_crossing(cast, t, seconds, 4) + cast.face * 3.5, cast.y - 7), cast.bag)


def bench(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A person sits."""
    draw.sitting(c, _body(cast, Label.SITTER), (cast.x, cast.y), cast.face)


def drive(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A car crosses."""
    draw.car(c, (_crossing(cast, t, seconds, 16), cast.y + 2), cast.face, cast.car, Label.CAR)


def drive_red(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A car as red as fire crosses."""
    draw.car(c, (_crossing(cast, t, seconds, 16), cast.y + 2), cast.face, (215, 30, 28), Label.RED_CAR)


def lamp(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A lamp on a post goes on after half a second."""
    top = cast.y - 24
    c.bar((cast.x, cast.y), (cast.x, top), 1.6, (60, 60, 65), Label.LAMP)
    if t > 0.5:
        c.disc((cast.x, top), (5.5, 5), (250, 215, 110), Label.LAMP, glow=True)
        c.disc((cast.x, top), (3, 3), (255, 250, 225), Label.LAMP, glow=True)
    else:
        c.disc((cast.x, top), (2.5, 2.5), (120, 120, 110), Label.LAMP)


def fight(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """Two people strike at each other in turn."""
    drift = 3 * sin(0.8 * t + cast.phase)
    for side in (-1, 1):
        reach = 0.5 + 0.5 * sin(9 * t + cast.phase + side * pi / 2)
        foot = (cast.x + drift + side * (7.5 - 1.5 * reach), cast.y - 1.5 * reach)
        draw.striking(c, _body(cast, Label.FIGHTER, second=side > 0), foot, -side, reach)


def fire(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """Flames that grow for two seconds."""
    draw.fire(c, (cast.x, cast.y), 7 + 7 * min(1.0, t / 2), 11 * t + cast.phase)


def explosion(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A blast, then its smoke."""
    draw.blast(c, (cast.x, cast.y), max(t, 0.0), 15 + 3 * sin(cast.phase))


def collapse(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """Someone who walked falls and stays on the ground."""
    if t < 0:
        swing = 2.2 * sin(7 * t + cast.phase)
        foot = (cast.x + cast.face * 7 * t, cast.y)
        draw.upright(c, _body(cast), foot, stride=abs(swing), arms=swing / 2)
        return
    label = Label.LYING if t > 0.2 else Label.PERSON
    draw.tilted(c, _body(cast, label), (cast.x, cast.y), cast.face, min(1.0, 0.3 + t / 0.8) * pi / 2)


def crash(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """A car drives up to someone who stands there, throws them down and stops."""
    victim = _body(cast, Label.LYING if t >= 0 else Label.PERSON)
    braking = 3 * min(1.0, max(t, 0.0) / 0.5)
    front = cast.x - cast.face * (17 - braking) + cast.face * 28 * min(t, 0.0)
    draw.car(c, (front, cast.y + 2), cast.face, cast.car, Label.CAR)
    if t < 0:
        draw.upright(c, victim, (cast.x, cast.y))
        return
    part = min(1.0, t / 0.7)
    foot = (cast.x + cast.face * 6 * part, cast.y - 7 * sin(pi * part) * (1 - part))
    draw.tilted(c, victim, foot, cast.face, (0.25 + 0.75 * part) * pi / 2)


def theft(c: Canvas, cast: Cast, t: float, seconds: float) -> None:
    """Someone snatches a bag and runs; the robbed one throws up both arms."""
    robbed = _body(cast, second=True)
    if t < 0:
        draw.upright(c, robbed, (cast.x, cast.y))
        draw.bag(c, (cast.x - cast.face * 4, cast.y - 7), cast.bag)
        swing = 2.2 * sin(7 * t)
        draw.upright(c, _body(cast), (cast.x - cast.face * (11 - 6 * t), cast.y), stride=abs(swing))
        return
    draw.hands_up(c, replace(robbed, label=Label.HANDS_UP), (cast.x, cast.y), sin(8 * t))
    x = cast.x - cast.face * (9 + 17 * max(0.0, t - 0.6))
    _run(c, cast, (x, cast.y), -cast.face, t)
    draw.bag(c, (x - cast.face * 4.5, cast.y - 10), cast.bag)
