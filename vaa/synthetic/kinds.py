"""The kinds of event: what they are called, where they happen, how long, how bad, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass

from vaa.synthetic import acts

EVERYWHERE = ("street", "courtyard", "car park", "corridor")
ROADS = ("street", "car park")
OUTSIDE = ("street", "courtyard", "car park")


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    `severity` 0..1 in tenths; `clause` is what one sees; `tag` and `reason` are empty for what is ordinary; `lead` is
    how many seconds it is played before its start, when it looks like the kind `before`.
    """

    name: str
    act: acts.Act
    clause: str
    seconds: tuple[float, float]
    places: tuple[str, ...]
    severity: float = 0.0
    tag: str = ""
    reason: str = ""
    lead: float = 0.0
    before: str = ""

    @property
    def anomalous(self) -> bool:
        """Whether it is one of the anomalies."""
        return bool(self.tag)


_ALL = (
    Kind("walk", acts.walk, "a person walks", (4, 7), EVERYWHERE),
    Kind("wait", acts.wait, "a person waits", (3, 8), EVERYWHERE),
    Kind("talk", acts.talk, "two people talk", (4, 9), EVERYWHERE, 0.1),
    Kind("hug", acts.hug, "two people hug", (3, 6), EVERYWHERE, 0.1),
    Kind("jog", acts.jog, "a person jogs", (4, 7), EVERYWHERE, 0.1),
    Kind("dog", acts.dog_walk, "a person walks a dog", (5, 8), OUTSIDE),
    Kind("bag", acts.carry_bag, "a person carries a bag", (4, 7), EVERYWHERE, 0.1),
    Kind("bench", acts.bench, "a person sits on a bench", (5, 9), EVERYWHERE),
    Kind("drive", acts.drive, "a car drives past", (3, 5), ROADS),
    Kind("red car", acts.drive_red, "a red car drives past", (3, 5), ROADS, 0.1),
    Kind("lamp", acts.lamp, "a lamp is switched on", (4, 8), EVERYWHERE, 0.1),
    Kind("fight", acts.fight, "two people fight", (4, 10), EVERYWHERE, 0.9, "fight", "people hurt each other"),
    Kind("fire", acts.fire, "a fire burns", (5, 12), EVERYWHERE, 0.9, "fire", "fire destroys and kills"),
    Kind("explosion", acts.explosion, "something explodes", (4, 7), EVERYWHERE, 1.0, "explosion", "a blast kills"),
    Kind("collapse", acts.collapse, "a person collapses", (4, 10), EVERYWHERE, 0.8, "collapse",
         "a person needs help", 2.0, "walk"),
    Kind("crash", acts.crash, "a car hits a person", (4, 10), ROADS, 1.0, "car crash",
         "a person is badly hurt", 1.0, "drive"),
    Kind("theft", acts.theft, "a thief snatches a bag and runs", (4, 7), EVERYWHERE, 0.9, "theft",
         "a person is robbed", 1.0, "bag"),
)  # fmt: skip
KINDS = {kind.name: kind for kind in _ALL}
ORDINARY = tuple(kind.name for kind in _ALL if not kind.anomalous)
ANOMALOUS = tuple(kind.name for kind in _ALL if kind.anomalous)
