"""The classes of events: how each looks at a moment, where it happens, how long it lasts, and the words for it.

`draw(canvas, actors, t, seconds)` draws an event of `seconds` seconds at `t` seconds after its start. Some anomalies
are also drawn at negative t, when they still look like a normal event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi, sin

from vaa.synthetic import figures
from vaa.synthetic.canvas import Canvas, Colour, Label


@dataclass(frozen=True, kw_only=True)
class Actors:
    """Position (x of the middle, y of the ground, in pixels), direction (+1, -1), phase of movement, and colours."""

    x: float
    y: float
    face: int
    phase: float
    size: float
    first: figures.Clothes
    second: figures.Clothes
    car: Colour
    bag: Colour


Draw = Callable[[Canvas, Actors, float, float], None]


def _person(actors: Actors, label: Label = Label.PERSON, second: bool = False) -> figures.Person:
    return figures.Person(clothes=actors.second if second else actors.first, size=actors.size, label=label)


def _crossing(actors: Actors, t: float, seconds: float, margin: float) -> float:
    """The x of a person or car that crosses the image in `seconds`."""
    distance = -margin + (64 + 2 * margin) * t / seconds
    return distance if actors.face > 0 else 64 - distance


def walk(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person crosses the image."""
    x = _crossing(actors, t, seconds, 4)
    swing = 2.4 * sin(7 * t + actors.phase)
    figures.standing(canvas, _person(actors), (x, actors.y), stride=abs(swing), arms=swing / 2)


def wait(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person stands still."""
    figures.standing(canvas, _person(actors), (actors.x + 0.5 * sin(t + actors.phase), actors.y))


def talk(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """Two people face each other at arm's length."""
    for side in (-1, 1):
        nod = 0.6 * sin(3 * t + actors.phase + side)
        figures.standing(
            canvas, _person(actors, second=side > 0), (actors.x + side * 6, actors.y), lean=-side * 0.5 + nod * 0.3
        )


def hug(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """Two people hug: the normal event that is most like a fight."""
    sway = 0.6 * sin(2 * t + actors.phase)
    for side in (-1, 1):
        person = _person(actors, Label.HUGGER, second=side > 0)
        figures.standing(canvas, person, (actors.x + side * 2.6, actors.y), lean=-side * 1.2 + sway)
        shoulder = (actors.x + side * 1.5 + sway, actors.y - 13 * actors.size)
        canvas.bar(
            shoulder,
            (actors.x - side * 3.5 + sway, actors.y - 11.5 * actors.size),
            2,
            person.clothes.coat,
            person.label,
        )


def jog(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person runs across the image, repeatedly."""
    pace = seconds / max(1.0, round(seconds / 2.2))
    x = _crossing(actors, t % pace, pace, 5)
    _run(canvas, actors, (x, actors.y), actors.face, t)


def _run(canvas: Canvas, actors: Actors, foot: figures.Point, face: int, t: float) -> None:
    swing = 4.5 * sin(13 * t + actors.phase)
    spot = (foot[0], foot[1] - abs(sin(13 * t)))
    figures.standing(
        canvas, _person(actors, Label.RUNNER), spot, stride=1.2 + abs(swing), lean=face * 2.6, arms=swing / 1.5
    )


def dog_walk(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person crosses with a dog on a lead."""
    walk(canvas, actors, t, seconds)
    x = _crossing(actors, t, seconds, 4) + actors.face * 10
    canvas.bar(
        (x - actors.face * 4, actors.y - 6), (x - actors.face * 8, actors.y - 8), 0.7, (40, 40, 40), Label.PERSON
    )
    figures.dog(canvas, (x, actors.y), actors.face, 1.5 * sin(9 * t))


def carry_bag(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person crosses with a bag."""
    walk(canvas, actors, t, seconds)
    figures.bag(canvas, (_crossing(actors, t, seconds, 4) + actors.face * 3.5, actors.y - 7), actors.bag)


def bench(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person sits."""
    figures.sitting(canvas, _person(actors, Label.SITTER), (actors.x, actors.y), actors.face)


def drive(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A car crosses."""
    figures.car(canvas, (_crossing(actors, t, seconds, 16), actors.y + 2), actors.face, actors.car, Label.CAR)


def drive_red(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A red car crosses: its colour is that of fire."""
    figures.car(canvas, (_crossing(actors, t, seconds, 16), actors.y + 2), actors.face, (215, 30, 28), Label.RED_CAR)


def lamp(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A lamp on a post goes on after half a second."""
    top = actors.y - 24
    canvas.bar((actors.x, actors.y), (actors.x, top), 1.6, (60, 60, 65), Label.LAMP)
    if t > 0.5:
        canvas.disc((actors.x, top), (5.5, 5), (250, 215, 110), Label.LAMP, glow=True)
        canvas.disc((actors.x, top), (3, 3), (255, 250, 225), Label.LAMP, glow=True)
    else:
        canvas.disc((actors.x, top), (2.5, 2.5), (120, 120, 110), Label.LAMP)


def fight(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """Two people punch each other in turn."""
    drift = 3 * sin(0.8 * t + actors.phase)
    for side in (-1, 1):
        reach = 0.5 + 0.5 * sin(9 * t + actors.phase + side * pi / 2)
        foot = (actors.x + drift + side * (7.5 - 1.5 * reach), actors.y - 1.5 * reach)
        figures.punching(canvas, _person(actors, Label.FIGHTER, second=side > 0), foot, -side, reach)


def fire(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """Flames that grow for two seconds."""
    figures.fire(canvas, (actors.x, actors.y), 7 + 7 * min(1.0, t / 2), 11 * t + actors.phase)


def explosion(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """An explosion, then its smoke."""
    figures.explosion(canvas, (actors.x, actors.y), max(t, 0.0), 15 + 3 * sin(actors.phase))


def collapse(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A person who walks falls and stays on the ground."""
    if t < 0:
        swing = 2.2 * sin(7 * t + actors.phase)
        foot = (actors.x + actors.face * 7 * t, actors.y)
        figures.standing(canvas, _person(actors), foot, stride=abs(swing), arms=swing / 2)
        return
    label = Label.LYING if t > 0.2 else Label.PERSON
    figures.falling(canvas, _person(actors, label), (actors.x, actors.y), actors.face, min(1.0, 0.3 + t / 0.8) * pi / 2)


def crash(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A car drives up to a standing person, knocks them down and stops."""
    victim = _person(actors, Label.LYING if t >= 0 else Label.PERSON)
    braking = 3 * min(1.0, max(t, 0.0) / 0.5)
    front = actors.x - actors.face * (17 - braking) + actors.face * 28 * min(t, 0.0)
    figures.car(canvas, (front, actors.y + 2), actors.face, actors.car, Label.CAR)
    if t < 0:
        figures.standing(canvas, victim, (actors.x, actors.y))
        return
    part = min(1.0, t / 0.7)
    foot = (actors.x + actors.face * 6 * part, actors.y - 7 * sin(pi * part) * (1 - part))
    figures.falling(canvas, victim, foot, actors.face, (0.25 + 0.75 * part) * pi / 2)


def theft(canvas: Canvas, actors: Actors, t: float, seconds: float) -> None:
    """A thief snatches a bag and runs; the victim raises both arms."""
    owner = _person(actors, second=True)
    if t < 0:
        figures.standing(canvas, owner, (actors.x, actors.y))
        figures.bag(canvas, (actors.x - actors.face * 4, actors.y - 7), actors.bag)
        swing = 2.2 * sin(7 * t)
        figures.standing(canvas, _person(actors), (actors.x - actors.face * (11 - 6 * t), actors.y), stride=abs(swing))
        return
    figures.raising_arms(canvas, replace(owner, label=Label.HANDS_UP), (actors.x, actors.y), sin(8 * t))
    x = actors.x - actors.face * (9 + 17 * max(0.0, t - 0.6))
    _run(canvas, actors, (x, actors.y), -actors.face, t)
    figures.bag(canvas, (x - actors.face * 4.5, actors.y - 10), actors.bag)


EVERYWHERE = ("street", "courtyard", "car park", "corridor")
ROADS = ("street", "car park")
OUTSIDE = ("street", "courtyard", "car park")


@dataclass(frozen=True)
class EventClass:
    """A class of events.

    `clause` describes it, `severity` is 0..1 in tenths, `tag` and `reason` are empty for normal events. For
    `lead_seconds` before its start it is drawn too, and looks like an event of `lead_class`.
    """

    name: str
    draw: Draw
    clause: str
    seconds: tuple[float, float]
    places: tuple[str, ...]
    severity: float = 0.0
    tag: str = ""
    reason: str = ""
    lead_seconds: float = 0.0
    lead_class: str = ""

    @property
    def anomalous(self) -> bool:
        """Whether it is an anomaly."""
        return bool(self.tag)


_ALL = (
    EventClass("walk", walk, "a person walks", (4, 7), EVERYWHERE),
    EventClass("wait", wait, "a person waits", (3, 8), EVERYWHERE),
    EventClass("talk", talk, "two people talk", (4, 9), EVERYWHERE, 0.1),
    EventClass("hug", hug, "two people hug", (3, 6), EVERYWHERE, 0.1),
    EventClass("jog", jog, "a person jogs", (4, 7), EVERYWHERE, 0.1),
    EventClass("dog", dog_walk, "a person walks a dog", (5, 8), OUTSIDE),
    EventClass("bag", carry_bag, "a person carries a bag", (4, 7), EVERYWHERE, 0.1),
    EventClass("bench", bench, "a person sits on a bench", (5, 9), EVERYWHERE),
    EventClass("drive", drive, "a car drives past", (3, 5), ROADS),
    EventClass("red car", drive_red, "a red car drives past", (3, 5), ROADS, 0.1),
    EventClass("lamp", lamp, "a lamp is switched on", (4, 8), EVERYWHERE, 0.1),
    EventClass("fight", fight, "two people fight", (4, 10), EVERYWHERE, 0.9, "fight", "people hurt each other"),
    EventClass("fire", fire, "a fire burns", (5, 12), EVERYWHERE, 0.9, "fire", "fire destroys and kills"),
    EventClass("explosion", explosion, "something explodes", (4, 7), EVERYWHERE, 1.0, "explosion", "a blast kills"),
    EventClass("collapse", collapse, "a person collapses", (4, 10), EVERYWHERE, 0.8, "collapse",
         "a person needs help", 2.0, "walk"),
    EventClass("crash", crash, "a car hits a person", (4, 10), ROADS, 1.0, "car crash",
         "a person is badly hurt", 1.0, "drive"),
    EventClass("theft", theft, "a thief snatches a bag and runs", (4, 7), EVERYWHERE, 0.9, "theft",
         "a person is robbed", 1.0, "bag"),
)  # fmt: skip
EVENT_CLASSES = {event_class.name: event_class for event_class in _ALL}
NORMAL = tuple(name for name, event_class in EVENT_CLASSES.items() if not event_class.anomalous)
ANOMALOUS = tuple(name for name, event_class in EVENT_CLASSES.items() if event_class.anomalous)
