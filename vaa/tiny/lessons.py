"""One step's worth of teaching: moments with several questions each, single frames with box questions, ratings."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaa.prompts.template import Prompt
from vaa.synthetic.world import Picture
from vaa.tiny import corpus
from vaa.tiny.rows import TokenBatch, encode, pack
from vaa.tiny.vlm import TOKENS

_SHARES = {
    "describe": 0.22,
    "tags": 0.27,
    "understand": 0.18,
    "threshold": 0.15,
    "score": 0.08,
    "guided": 0.07,
    "guided_xd": 0.03,
}


@dataclass(frozen=True, eq=False)
class Lesson:
    """Pictures in the order of the image tokens of `batch`, and the number of the event in each."""

    pictures: tuple[Picture, ...]
    events: tuple[int, ...]
    batch: TokenBatch


@dataclass(frozen=True)
class Teacher:
    """Makes lessons from a tokenizer and the project's prompts."""

    tokenizer: Any
    prompts: dict[str, Prompt]

    def moments(self, rng: np.random.Generator, draw: random.Random, count: int) -> Lesson:
        """`count` moments of one shape, each with the verdict and two more questions."""
        shape = corpus.shape(rng)
        seen = [corpus.moment(rng, shape) for _ in range(count)]
        drawn = [["verdict", *draw.choices(list(_SHARES), list(_SHARES.values()), k=2)] for _ in seen]
        return _lesson(seen, pack([self._about(m, names, draw) for m, names in zip(seen, drawn, strict=True)]))

    def stills(self, rng: np.random.Generator, draw: random.Random, count: int) -> Lesson:
        """`count` single frames, each with a box question and every third with one for a caption."""
        seen = corpus.stills(rng, count)
        rows = [[self._boxed(m, draw.choice(("box", "box_any")), draw)] for m in seen]
        for moment, row in zip(seen[::3], rows[::3], strict=True):
            row += self._about(moment, ["frame"], draw)
        return _lesson(seen, pack(rows))

    def texts(self, rng: np.random.Generator, draw: random.Random, count: int) -> Lesson:
        """Captions to rate without seeing anything, and among `count` rows two with captions to sum up."""
        rows = [[self._rated(draw)] for _ in range(count - 2)]
        return Lesson((), (), pack([*rows, *([self._summed(rng, draw)] for _ in range(2))]))

    def _about(
        self, moment: corpus.Moment, names: Sequence[str], draw: random.Random
    ) -> list[tuple[list[int], list[int]]]:
        branches = []
        for name in names:
            fields = corpus.fields(name, moment.account, draw)
            asked = corpus.query(self.prompts, name, len(moment.pictures), draw, **fields)
            branches.append(encode(self.tokenizer, asked, corpus.answer(name, moment.account, fields), TOKENS))
        return branches

    def _boxed(self, moment: corpus.Moment, name: str, draw: random.Random) -> tuple[list[int], list[int]]:
        asked = corpus.query(self.prompts, name, 1, draw, **corpus.fields(name, moment.account, draw))
        return encode(self.tokenizer, asked, corpus.box_answer(moment.pictures[0], draw), TOKENS)

    def _summed(self, rng: np.random.Generator, draw: random.Random) -> tuple[list[int], list[int]]:
        captions, told = corpus.summary(rng, draw)
        asked = corpus.query(self.prompts, "summarise", 0, draw, captions=captions)
        return encode(self.tokenizer, asked, told.sentence, TOKENS)

    def _rated(self, draw: random.Random) -> tuple[list[int], list[int]]:
        told = corpus.rating(draw)
        name = draw.choice(("rate", "rerate"))
        caption = draw.choice(corpus.captions(told, draw))
        fields = corpus.fields(name, told, draw) | {"caption": caption}
        asked = corpus.query(self.prompts, name, 0, draw, **fields)
        return encode(self.tokenizer, asked, f"[{told.severity:.1f}]", TOKENS)


def _lesson(seen: Sequence[corpus.Moment], batch: TokenBatch) -> Lesson:
    return Lesson(tuple(p for m in seen for p in m.pictures), tuple(e for m in seen for e in m.events), batch)
