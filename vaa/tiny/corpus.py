"""What the tiny VLM is taught: moments of the synthetic world, and what is asked and answered about them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaa.prompts.template import Prompt
from vaa.synthetic.canvas import SIDE, Label
from vaa.synthetic.kinds import ANOMALOUS, KINDS
from vaa.synthetic.words import Account, account
from vaa.synthetic.world import Picture, Script, picture, script
from vaa.tiny import paraphrases
from vaa.types import GenerateQuery, Segment, Video

_NOWHERE = Video("synthetic", Path("synthetic"), 1, 1.0)
_SHAPES = ((8, 2.9, 0.54), (10, 9.0, 0.2), (8, 9.0, 0.1), (16, 45.0, 0.1), (6, 5.0, 0.06))
"""(frames, seconds from the first to the last, share): segments, clips, whole videos, something else."""
_NAMES = list(KINDS)


@dataclass(frozen=True, eq=False)
class Moment:
    """Frames of a script, what is to be told of them together, and the kind of event in each (0: none)."""

    pictures: tuple[Picture, ...]
    account: Account
    events: tuple[int, ...]


def shape(rng: np.random.Generator) -> tuple[int, float]:
    """Draw (frames, seconds)."""
    index = int(rng.choice(len(_SHAPES), p=[share for _, _, share in _SHAPES]))
    return _SHAPES[index][0], _SHAPES[index][1]


def moment(rng: np.random.Generator, form: tuple[int, float]) -> Moment:
    """Draw a moment, an anomaly in about half of them; one that shows an anomaly only just is drawn again."""
    count, span = form
    while True:
        wanted = bool(rng.random() < 0.55)
        told = script(rng, span + 16, int(wanted))
        times = _times(rng, told, count, span)
        shown = sum(any(KINDS[e.kind].anomalous and e.start <= t < e.stop for e in told.events) for t in times)
        if shown == 0 or shown >= (2 if span < 4 else 1):
            grains = rng.integers(0, 1464, count)
            frames = tuple(picture(told, t, int(g)) for t, g in zip(times, grains, strict=True))
            return Moment(frames, account(told, times), tuple(event(account(told, [t])) for t in times))


def _times(rng: np.random.Generator, told: Script, count: int, span: float) -> list[float]:
    bad = [e for e in told.events if KINDS[e.kind].anomalous]
    first = float(rng.uniform(0, told.seconds - span))
    if bad and rng.random() < 0.9:
        first = float(np.clip(rng.uniform(bad[0].start - 0.7 * span, bad[0].stop - 0.3 * span), 0, told.seconds - span))
    return [first + span * k / max(1, count - 1) for k in range(count)]


def stills(rng: np.random.Generator, count: int, share: float = 0.75) -> list[Moment]:
    """Single frames, six of a script; `share` of the scripts have an anomaly, sought in four of the six."""
    found: list[Moment] = []
    while len(found) < count:
        told = script(rng, 18, int(rng.random() < share))
        bad = [e for e in told.events if KINDS[e.kind].anomalous]
        reach = (bad[0].start - 1, bad[0].stop) if bad else (0.0, told.seconds)
        times = [float(t) for t in (*rng.uniform(*reach, 4), *rng.uniform(0, told.seconds, 2))]
        for t in times:
            seen = account(told, [t])
            found.append(Moment((picture(told, t, int(rng.integers(1464))),), seen, (event(seen),)))
    return found[:count]


def event(seen: Account) -> int:
    """The number of the kind of event, 0 for none."""
    return 1 + _NAMES.index(seen.kind.name) if seen.kind else 0


def patches(labels: NDArray[np.uint8], side: int = 8) -> NDArray[np.int64]:
    """The commonest label of each 8x8 patch, row by row: shape (64,); NOTHING where things cover under 6 pixels."""
    cells = labels.reshape(side, 64 // side, side, 64 // side).swapaxes(1, 2).reshape(side * side, -1)
    counts = np.stack([(cells == label).sum(axis=1) for label in Label], axis=1)
    counts[:, 0] = 5
    return np.asarray(counts.argmax(axis=1), np.int64)


def query(prompts: dict[str, Prompt], name: str, frames: int, draw: random.Random, **fields: str) -> GenerateQuery:
    """Ask the prompt `name` about `frames` frames: in the project's words four times in five, else in others."""
    prompt = prompts[name]
    if draw.random() < 0.2:
        other = paraphrases.reword(name, draw)
        prompt = replace(prompt, text=f"$frames\n{other}") if frames else replace(prompt, system=other)
    return prompt.query(_NOWHERE, Segment(0, frames, tuple(range(frames)), 0), **fields)


def answer(name: str, seen: Account, fields: dict[str, str]) -> str:
    """The right answer to the prompt `name`; boxes are `box_answer`'s."""
    if name == "verdict":
        return f"```\n{'Anomalous' if seen.anomalous else 'Normal'} scenes.\n{seen.sentence}\n```"
    if name == "tags":
        return "[" + ", ".join(f'"{tag}"' for tag in seen.tags) + "]"
    if name == "understand":
        return seen.description
    if name == "threshold":
        return "YES" if seen.severity >= float(fields["threshold"]) - 1e-9 else "NO"
    if name in ("guided", "guided_xd"):
        return f"[{int(seen.anomalous)}]"
    return f"[{seen.severity:.1f}]" if name == "score" else seen.sentence


def box_answer(shown: Picture, draw: random.Random) -> str:
    """The box as JSON, or an empty list; the picture's width and height are 1000, as for every InternVL.

    The edges are shaken by a pixel or so: to next-token prediction 20 is as far from 21 as from 60, and this tells it
    what is near.
    """
    if shown.box is None:
        return "[]"
    corners = ", ".join(str(thousandths(min(SIDE, max(0, round(edge + draw.gauss(0, 1)))))) for edge in shown.box)
    return f'[{{"bbox_2d": [{corners}], "confidence": 0.9}}]'


def thousandths(pixel: int) -> int:
    """A pixel's edge in thousandths of the picture."""
    return round(pixel * 1000 / SIDE)


def fields(name: str, seen: Account, draw: random.Random) -> dict[str, str]:
    """What the stages put into a prompt's placeholders: tags (now and then wrong), a threshold, a prior."""
    if name == "threshold":
        return {"threshold": f"{draw.randint(1, 10) / 10:.1f}"}
    if name not in ("box", "understand", "rerate"):
        return {}
    told = [*seen.tags] if draw.random() < 0.7 else []
    if draw.random() < (0.15 if seen.anomalous else 0.5):
        told = [KINDS[draw.choice(ANOMALOUS)].tag]
    tags = ", ".join(told) or ("anything suspicious" if name == "box" else "none")
    return {"tags": tags} | ({"prior": draw.choice(("", " or criminal", " or violent"))} if name == "rerate" else {})


def summary(rng: np.random.Generator, draw: random.Random) -> tuple[str, Account]:
    """What was said of up to ten frames, a line each and some of it wrong, and what is to be told of them together."""
    count = draw.choice((10, 10, 10, 6, 3))
    told = script(rng, 25, int(rng.random() < 0.55))
    times = _times(rng, told, count, 0.9 * count)
    said = [account(told, [t] if draw.random() > 0.06 else [float(rng.uniform(0, told.seconds))]) for t in times]
    return "\n".join(seen.sentence for seen in said), account(told, times)


def rating(draw: random.Random) -> Account:
    """Something to rate in words alone."""
    kind = draw.choice((None, *KINDS.values()))
    places = kind.places if kind else ("street", "courtyard", "car park", "corridor")
    return Account(kind, draw.choice(places), draw.random() < 0.5)


def captions(seen: Account, draw: random.Random) -> Sequence[str]:
    """The same account in more or fewer words."""
    clause = seen.kind.clause if seen.kind else "nothing moves"
    short = f"{clause[0].upper()}{clause[1:]}."
    return seen.sentence, seen.sentence, short, clause, seen.description, f"A surveillance video shows that {clause}."
