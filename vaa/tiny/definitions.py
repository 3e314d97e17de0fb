"""What the tiny VLM can be told to look for: wordings for the synthetic events, and for what never occurs there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from vaa.installation import CONF
from vaa.synthetic.events import ANOMALOUS
from vaa.types import Definition


@dataclass(frozen=True)
class Concept:
    """Wordings of something that is visible in events of `classes`, and may be in those of `unclear`."""

    wordings: tuple[str, ...]
    classes: frozenset[str]
    unclear: frozenset[str] = frozenset()


def _concept(wordings: str, classes: str, unclear: str = "") -> Concept:
    """From texts whose parts are separated by semicolons."""
    parts = [tuple(part.strip() for part in text.split(";") if part.strip()) for text in (wordings, classes, unclear)]
    return Concept(parts[0], frozenset(parts[1]), frozenset(parts[2]))


CONCEPTS = (
    _concept("a fight; two people fighting; people who hit each other; people punching each other; a brawl", "fight"),
    _concept("a fire; flames; something burning; something on fire", "fire", "explosion"),
    _concept("an explosion; a blast; something exploding", "explosion", "fire"),
    _concept("a person collapsing; somebody falling; a person who falls down; a fall", "collapse", "crash"),
    _concept("a person lying on the floor; somebody lying on the ground; an unconscious person", "collapse", "crash"),
    _concept(
        "a car crash; a car hitting a person; a traffic accident; a road accident; a person hit by a car", "crash"
    ),
    _concept(
        "a theft; a robbery; a thief; somebody stealing a bag; a stolen bag; a bag snatched from a person", "theft"
    ),
    _concept("two people talking; people talking; a conversation", "talk", "hug"),
    _concept("two people hugging; a hug; an embrace", "hug", "talk; fight"),
    _concept("a person jogging; a jogger; a runner", "jog", "theft"),
    _concept("a dog; a person walking a dog; an animal", "dog"),
    _concept("a person carrying a bag; a bag", "bag", "theft"),
    _concept("a person sitting on a bench; somebody sitting; a person sitting down", "bench", "collapse"),
    _concept("a car; a vehicle; a car driving past; traffic", "drive; red car; crash"),
    _concept("a red car; a red vehicle", "red car"),
    _concept("a lamp; a lamp switched on; a street lamp; a light switched on", "lamp", "fire; explosion"),
    _concept("violence; people hurting each other", "fight", "theft; crash"),
    _concept("a crime; something criminal", "theft", "fight; crash; fire; explosion"),
    _concept("an accident", "crash", "collapse; fire; explosion"),
    _concept("a medical emergency; a person who needs help", "collapse; crash", "fight; theft; fire; explosion"),
)
ABSENT = (
    *("a bicycle", "a person riding a bicycle", "a motorcycle", "a skateboard", "a person on a skateboard"),
    *("an earthquake", "a flood", "a snowstorm", "a falling tree", "smoke without fire", "a broken window"),
    *("a horse", "a cat", "a bird", "a bus", "a lorry", "a train", "a boat", "an aeroplane", "a wheelchair", "a pram"),
    *("a person climbing a fence", "a person jumping", "a person throwing something", "people dancing", "a crowd"),
    *("a gun", "a person with a gun", "a person with a knife", "graffiti", "vandalism", "a person painting a wall"),
    *("a demonstration", "a child", "a baby", "a ladder", "an umbrella", "a football", "a helmet"),
)
"""What no synthetic event shows."""


def anything() -> str:
    """The wording for any anomaly, which the prompt without a definition asks for too."""
    config = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    return str(config["definitions"]["anything"])


def wordings() -> list[str]:
    """All wordings, for the tokenizer."""
    return [*(wording for concept in CONCEPTS for wording in concept.wordings), *ABSENT, anything()]


def draw_definition(visible: Mapping[str, int], draw: random.Random) -> tuple[Definition, bool]:
    """A definition, and whether it is seen in a clip.

    About half of the definitions are seen. A concept that is visible in one frame only, or unclear, is not drawn.

    Args:
        visible: the classes of the events in the clip, each with the number of frames in which it is visible.
        draw: the source of randomness.
    """
    seen, unseen = _sorted(visible)
    anomalies = [name for name in ANOMALOUS if visible.get(name)]
    if draw.random() < 0.2 and all(visible[name] > 1 for name in anomalies):
        return _any_anomaly(anomalies, draw)
    if seen and draw.random() < 0.5:
        concept = draw.choice(seen)
        return _definition(draw.choice(concept.wordings), _exceptions(concept, unseen, draw)), True
    if draw.random() < 0.25:
        return _definition(draw.choice(ABSENT), ()), False
    concept = draw.choice(unseen)
    return _definition(draw.choice(concept.wordings), _exceptions(concept, unseen, draw)), False


def _sorted(visible: Mapping[str, int]) -> tuple[list[Concept], list[Concept]]:
    """The concepts that are seen and those that are not; unclear ones are in neither."""
    seen, unseen = [], []
    for concept in CONCEPTS:
        frames = max((visible.get(name, 0) for name in concept.classes), default=0)
        if frames > 1:
            seen.append(concept)
        elif frames == 0 and not any(visible.get(name) for name in concept.unclear):
            unseen.append(concept)
    return seen, unseen


def _any_anomaly(anomalies: list[str], draw: random.Random) -> tuple[Definition, bool]:
    """Any anomaly, in a third of the cases except for a class."""
    excluded = draw.choice([*anomalies, *ANOMALOUS]) if draw.random() < 0.33 else ""
    exceptions = tuple(_wording_of(name, draw) for name in [excluded] if name)
    return _definition(anything(), exceptions), any(name != excluded for name in anomalies)


def _wording_of(class_name: str, draw: random.Random) -> str:
    concept = draw.choice([concept for concept in CONCEPTS if concept.classes == {class_name}])
    return draw.choice(concept.wordings)


def _exceptions(concept: Concept, unseen: list[Concept], draw: random.Random) -> tuple[str, ...]:
    """For one definition in ten another concept that is not seen: it changes nothing."""
    others = [other for other in unseen if not other.classes & concept.classes]
    return (draw.choice(draw.choice(others).wordings),) if others and draw.random() < 0.1 else ()


def _definition(wording: str, exceptions: tuple[str, ...]) -> Definition:
    return Definition(name=wording, wording=wording, exceptions=exceptions)
