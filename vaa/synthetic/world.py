"""A script of events in a place, and its pictures and truth at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaa.synthetic.acts import Cast
from vaa.synthetic.canvas import SIDE, Canvas
from vaa.synthetic.figures import Dress
from vaa.synthetic.kinds import ANOMALOUS, KINDS, ORDINARY, Kind
from vaa.synthetic.places import PLACES

_COATS = ((200, 40, 40), (45, 80, 190), (50, 150, 70), (225, 200, 60), (235, 235, 235), (130, 60, 150), (60, 60, 60))
_TROUSERS = ((35, 35, 45), (40, 50, 95), (90, 75, 55), (60, 60, 60))
_SKINS = ((235, 195, 160), (200, 150, 115), (140, 95, 65))
_CARS = ((50, 85, 170), (225, 225, 225), (45, 45, 50), (55, 125, 80))
_GRAIN = np.random.default_rng(0).standard_normal((24, SIDE, SIDE, 3), np.float32)
"""Sensor noise is drawn from a fixed bank, shifted: drawing it anew would cost more than the picture."""


@dataclass(frozen=True)
class Event:
    """Something that happens in [start, stop) seconds, and from `start - lead` on in an ordinary way."""

    kind: str
    start: float
    stop: float
    cast: Cast

    def seen_as(self, t: float) -> Kind | None:
        """The kind it looks like at `t` seconds; None when it is not on."""
        kind = KINDS[self.kind]
        if self.start <= t < self.stop:
            return kind
        return KINDS[kind.before] if self.start - kind.lead <= t < self.start else None


@dataclass(frozen=True, eq=False)
class Scene:
    """A place at a time of day, as one camera sees it: its empty picture (SIDE, SIDE, 3), light and noise."""

    place: str
    night: bool
    empty: NDArray[np.float32]
    light: float
    noise: float


@dataclass(frozen=True, eq=False)
class Script:
    """What happens in front of a camera."""

    scene: Scene
    events: tuple[Event, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Picture:
    """One moment: pixels (SIDE, SIDE, 3), labels (SIDE, SIDE), and the box (x1, y1, x2, y2) of the anomaly, if any."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    box: tuple[float, float, float, float] | None


def scene(rng: np.random.Generator) -> Scene:
    """A place, day or night, from a generator."""
    place = str(rng.choice(list(PLACES)))
    night = bool(rng.random() < 0.45)
    light = float(rng.uniform(0.38, 0.5) if night else rng.uniform(0.85, 1.1))
    tint = np.array((0.9, 0.95, 1.2) if night else (1.0, 1.0, 1.0), np.float32)
    empty = PLACES[place](rng) * light * tint
    return Scene(place, night, empty[:, ::-1] if rng.random() < 0.5 else empty, light, float(rng.uniform(2, 6)))


def cast(rng: np.random.Generator, margin: float) -> Cast:
    """Who acts and where, at least `margin` pixels from the sides."""
    return Cast(
        x=float(rng.uniform(margin, SIDE - margin)),
        y=float(rng.uniform(42, 59)),
        face=int(rng.choice((-1, 1))),
        phase=float(rng.uniform(0, 6)),
        size=float(rng.uniform(0.95, 1.2)),
        first=_dress(rng),
        second=_dress(rng),
        car=_CARS[rng.integers(len(_CARS))],
        bag=_COATS[rng.integers(4)],
    )


def _dress(rng: np.random.Generator) -> Dress:
    coat = tuple(float(np.clip(part + rng.uniform(-20, 20), 0, 255)) for part in _COATS[rng.integers(len(_COATS))])
    return Dress((coat[0], coat[1], coat[2]), _TROUSERS[rng.integers(4)], _SKINS[rng.integers(3)])


def script(rng: np.random.Generator, seconds: float, anomalies: int, fill: float = 1.0) -> Script:
    """Events one after another, `anomalies` of them anomalous, with a passer-by at the back now and then.

    `fill` scales the pauses between events: at 1 they last 0.5 to 3 seconds.
    """
    where = scene(rng)
    ordinary, bad = ([k for k in names if where.place in KINDS[k].places] for names in (ORDINARY, ANOMALOUS))
    plan: list[tuple[str, float]] = []
    clock = float(rng.uniform(0, 2))
    while clock < seconds - 3:
        kind = str(rng.choice(ordinary))
        length = float(rng.uniform(*KINDS[kind].seconds))
        plan.append((kind, length))
        clock += length + 1.75 * fill
    turns = rng.choice(np.arange(1, max(2, len(plan))), size=min(anomalies, max(1, len(plan) - 1)), replace=False)
    for turn in turns if anomalies else ():
        kind = str(rng.choice(bad))
        plan[min(int(turn), len(plan) - 1)] = (kind, float(rng.uniform(*KINDS[kind].seconds)))
    return Script(where, _placed(rng, plan, seconds, fill), seconds)


def _placed(
    rng: np.random.Generator, plan: Sequence[tuple[str, float]], seconds: float, fill: float
) -> tuple[Event, ...]:
    events: list[Event] = []
    clock = float(rng.uniform(0, 1.5)) * fill
    for kind, length in plan:
        start = clock + KINDS[kind].lead
        if start + 1 >= seconds:
            break
        events.append(Event(kind, start, start + length, cast(rng, 16)))
        clock = start + length + float(rng.uniform(0.5, 3)) * fill
    if rng.random() < 0.5:
        at = float(rng.uniform(0, seconds))
        events.insert(0, Event("walk", at, at + 6, cast(rng, 8)))
    return tuple(events)


def picture(script: Script, t: float, grain: int) -> Picture:
    """What the camera sees at `t` seconds; `grain` is a seed for the noise."""
    here = script.scene
    canvas = Canvas(here.empty.copy(), np.zeros((SIDE, SIDE), np.uint8), here.light)
    box = None
    for event in script.events:
        kind = event.seen_as(t)
        if kind is None:
            continue
        canvas.begin()
        KINDS[event.kind].act(canvas, event.cast, t - event.start, event.stop - event.start)
        box = canvas.box() if kind.anomalous else box
    noise = np.roll(_GRAIN[grain % 24], (grain // 24) % 61, axis=1)
    pixels = np.clip(canvas.pixels + here.noise * noise, 0, 255)
    return Picture(pixels.astype(np.uint8), canvas.labels, box)


def main_event(script: Script, times: Sequence[float]) -> tuple[Event, Kind] | None:
    """What is to be told of these moments: an anomaly if there is one, else what is longest on; None if nothing."""
    seen: dict[tuple[int, str], int] = {}
    for index, event in enumerate(script.events):
        for t in times:
            kind = event.seen_as(t)
            if kind is not None:
                seen[index, kind.name] = seen.get((index, kind.name), 0) + 1
    if not seen:
        return None
    index, name = max(seen, key=lambda key: (KINDS[key[1]].anomalous, seen[key], key[0]))
    return script.events[index], KINDS[name]
