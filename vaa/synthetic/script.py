"""Scripts of events in front of a camera: drawn at random, rendered frame by frame, and described in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaa.synthetic.backgrounds import BACKGROUNDS
from vaa.synthetic.canvas import SIDE, Canvas
from vaa.synthetic.events import ANOMALOUS, EVENT_CLASSES, NORMAL, Actors, EventClass
from vaa.synthetic.figures import Clothes

_COATS = ((200, 40, 40), (45, 80, 190), (50, 150, 70), (225, 200, 60), (235, 235, 235), (130, 60, 150), (60, 60, 60))
_TROUSERS = ((35, 35, 45), (40, 50, 95), (90, 75, 55), (60, 60, 60))
_SKINS = ((235, 195, 160), (200, 150, 115), (140, 95, 65))
_CARS = ((50, 85, 170), (225, 225, 225), (45, 45, 50), (55, 125, 80))
_NOISE = np.random.default_rng(0).standard_normal((24, SIDE, SIDE, 3), np.float32)
"""Sensor noise is one of 24 fixed images, shifted: drawing new noise would take longer than drawing the frame."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of a class, in [start, stop) seconds."""

    class_name: str
    start: float
    stop: float
    actors: Actors

    def class_at(self, t: float) -> EventClass | None:
        """The class it looks like at `t` seconds; None where it is not visible."""
        event_class = EVENT_CLASSES[self.class_name]
        if self.start <= t < self.stop:
            return event_class
        leading = self.start - event_class.lead_seconds <= t < self.start
        return EVENT_CLASSES[event_class.lead_class] if leading else None


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A place by day or at night: its background (SIDE, SIDE, 3), light and noise."""

    place: str
    night: bool
    background: NDArray[np.float32]
    light: float
    noise: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Script:
    """The events of a video of `seconds` seconds."""

    scene: Scene
    events: tuple[Event, ...]
    seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class RenderedFrame:
    """Pixels (SIDE, SIDE, 3), labels (SIDE, SIDE), and the box (x1, y1, x2, y2) of the anomaly, if there is one."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    box: tuple[float, float, float, float] | None


def random_scene(rng: np.random.Generator) -> Scene:
    """A place by day or at night."""
    place = str(rng.choice(list(BACKGROUNDS)))
    night = bool(rng.random() < 0.45)
    light = float(rng.uniform(0.38, 0.5) if night else rng.uniform(0.85, 1.1))
    tint = np.array((0.9, 0.95, 1.2) if night else (1.0, 1.0, 1.0), np.float32)
    background = BACKGROUNDS[place](rng) * light * tint
    if rng.random() < 0.5:
        background = background[:, ::-1]
    return Scene(place=place, night=night, background=background, light=light, noise=float(rng.uniform(2, 6)))


def random_actors(rng: np.random.Generator, margin: float) -> Actors:
    """Actors at least `margin` pixels from the sides."""
    return Actors(
        x=float(rng.uniform(margin, SIDE - margin)),
        y=float(rng.uniform(42, 59)),
        face=int(rng.choice((-1, 1))),
        phase=float(rng.uniform(0, 6)),
        size=float(rng.uniform(0.95, 1.2)),
        first=_random_clothes(rng),
        second=_random_clothes(rng),
        car=_CARS[rng.integers(len(_CARS))],
        bag=_COATS[rng.integers(4)],
    )


def _random_clothes(rng: np.random.Generator) -> Clothes:
    coat = tuple(float(np.clip(part + rng.uniform(-20, 20), 0, 255)) for part in _COATS[rng.integers(len(_COATS))])
    return Clothes(coat=(coat[0], coat[1], coat[2]), trousers=_TROUSERS[rng.integers(4)], skin=_SKINS[rng.integers(3)])


def random_script(rng: np.random.Generator, seconds: float, anomalies: int, pause: float = 1.0) -> Script:
    """Events one after another, `anomalies` of them anomalous, and sometimes a pedestrian at the same time.

    `pause` scales the pauses between events: at 1 they last 0.5 to 3 seconds.
    """
    scene = random_scene(rng)
    normal, anomalous = (
        [name for name in names if scene.place in EVENT_CLASSES[name].places] for names in (NORMAL, ANOMALOUS)
    )
    plan: list[tuple[str, float]] = []
    time = float(rng.uniform(0, 2))
    while time < seconds - 3:
        name = str(rng.choice(normal))
        length = float(rng.uniform(*EVENT_CLASSES[name].seconds))
        plan.append((name, length))
        time += length + 1.75 * pause
    positions = rng.choice(np.arange(1, max(2, len(plan))), size=min(anomalies, max(1, len(plan) - 1)), replace=False)
    for position in positions if anomalies else ():
        name = str(rng.choice(anomalous))
        plan[min(int(position), len(plan) - 1)] = (name, float(rng.uniform(*EVENT_CLASSES[name].seconds)))
    return Script(scene=scene, events=_schedule(rng, plan, seconds, pause), seconds=seconds)


def _schedule(
    rng: np.random.Generator, plan: Sequence[tuple[str, float]], seconds: float, pause: float
) -> tuple[Event, ...]:
    """Events of the planned classes and lengths, as many as fit."""
    events: list[Event] = []
    time = float(rng.uniform(0, 1.5)) * pause
    for name, length in plan:
        start = time + EVENT_CLASSES[name].lead_seconds
        if start + 1 >= seconds:
            break
        events.append(Event(class_name=name, start=start, stop=start + length, actors=random_actors(rng, 16)))
        time = start + length + float(rng.uniform(0.5, 3)) * pause
    if rng.random() < 0.5:
        start = float(rng.uniform(0, seconds))
        events.insert(0, Event(class_name="walk", start=start, stop=start + 6, actors=random_actors(rng, 8)))
    return tuple(events)


def render(script: Script, t: float, noise_seed: int) -> RenderedFrame:
    """The frame at `t` seconds."""
    scene = script.scene
    canvas = Canvas(pixels=scene.background.copy(), labels=np.zeros((SIDE, SIDE), np.uint8), light=scene.light)
    box = None
    for event in script.events:
        event_class = event.class_at(t)
        if event_class is None:
            continue
        canvas.start_box()
        EVENT_CLASSES[event.class_name].draw(canvas, event.actors, t - event.start, event.stop - event.start)
        box = canvas.box() if event_class.anomalous else box
    noise = np.roll(_NOISE[noise_seed % 24], (noise_seed // 24) % 61, axis=1)
    pixels = np.clip(canvas.pixels + scene.noise * noise, 0, 255)
    return RenderedFrame(pixels=pixels.astype(np.uint8), labels=canvas.labels, box=box)


def main_class(script: Script, times: Sequence[float]) -> EventClass | None:
    """The class of the main event at these times: an anomaly, else the event visible most often; None without any."""
    counts: dict[tuple[int, str], int] = {}
    for index, event in enumerate(script.events):
        for t in times:
            event_class = event.class_at(t)
            if event_class is not None:
                counts[index, event_class.name] = counts.get((index, event_class.name), 0) + 1
    if not counts:
        return None
    _, name = max(counts, key=lambda key: (EVENT_CLASSES[key[1]].anomalous, counts[key], key[0]))
    return EVENT_CLASSES[name]


@dataclass(frozen=True, kw_only=True)
class ReferenceAnswer:
    """What a model should answer about some frames: the class of the main event (None: nothing moves) and the scene."""

    event_class: EventClass | None
    place: str
    night: bool

    @property
    def anomalous(self) -> bool:
        """Whether the main event is an anomaly."""
        return self.event_class is not None and self.event_class.anomalous

    @property
    def severity(self) -> float:
        """0 to 1 in tenths."""
        return self.event_class.severity if self.event_class else 0.0

    @property
    def tags(self) -> tuple[str, ...]:
        """Phrases that name the anomaly; none for normal events."""
        return (self.event_class.tag,) if self.event_class and self.anomalous else ()

    @property
    def sentence(self) -> str:
        """What happens, where, by day or at night, in one sentence."""
        clause = self.event_class.clause if self.event_class else "nothing moves"
        return f"{clause[0].upper()}{clause[1:]} in the {self.place} {self._time}."

    @property
    def description(self) -> str:
        """Where it happens, what, and why it is an anomaly or not."""
        scene = f"The video shows a {self.place} {self._time}."
        if self.event_class is None or not self.anomalous:
            clause = self.event_class.clause if self.event_class else "nothing moves"
            return f"{scene} {clause[0].upper()}{clause[1:]}. The video appears normal."
        clause = self.event_class.clause
        return f"{scene} {clause[0].upper()}{clause[1:]}. This is an anomaly because {self.event_class.reason}."

    @property
    def _time(self) -> str:
        return "at night" if self.night else "by day"


def reference_answer(script: Script, times: Sequence[float]) -> ReferenceAnswer:
    """The reference answer about a script at these times, in seconds."""
    scene = script.scene
    return ReferenceAnswer(event_class=main_class(script, times), place=scene.place, night=scene.night)
