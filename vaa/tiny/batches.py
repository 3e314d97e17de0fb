"""The batches of a training step: clips with several prompts each, single frames with box prompts, and texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaa.prompts.definitions import definition_fields
from vaa.prompts.template import Prompt
from vaa.synthetic.script import RenderedFrame
from vaa.tiny import corpus
from vaa.tiny.definitions import draw_definition
from vaa.tiny.packing import Branch, TokenBatch, encode, pack
from vaa.tiny.vlm import TOKENS

_WEIGHTS = {
    "describe": 0.19,
    "tags": 0.24,
    "understand": 0.17,
    "threshold": 0.12,
    "score": 0.05,
    "guided": 0.06,
    "guided_xd": 0.03,
    "guided_digit": 0.04,
    "guided_xd_digit": 0.02,
    "watch": 0.08,
}
"""How often a clip gets each prompt beside the verdict and the definitions."""
_DEFINITIONS = 2
"""Definitions that each clip is asked about."""


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Pictures in the order of the image tokens in `tokens`, and the event class of each (0: none)."""

    pictures: tuple[RenderedFrame, ...]
    events: tuple[int, ...]
    tokens: TokenBatch


@dataclass(frozen=True)
class BatchMaker:
    """Draws training batches, with the project's prompts."""

    tokenizer: Any
    prompts: dict[str, Prompt]

    def clips(self, rng: np.random.Generator, draw: random.Random, count: int) -> TrainingBatch:
        """`count` clips of one length, each with the verdict, two more prompts and questions about definitions."""
        shape = corpus.draw_shape(rng)
        samples = [corpus.draw_clip(rng, shape) for _ in range(count)]
        drawn = [["verdict", *draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=2)] for _ in samples]
        rows = [
            self._branches(sample, names, draw) + [self._definition_branch(sample, draw) for _ in range(_DEFINITIONS)]
            for sample, names in zip(samples, drawn, strict=True)
        ]
        return _training_batch(samples, pack(rows))

    def stills(self, rng: np.random.Generator, draw: random.Random, count: int) -> TrainingBatch:
        """`count` single frames, each with a box prompt and every third with the prompt for a caption."""
        samples = corpus.draw_stills(rng, count)
        rows = [[self._box_branch(sample, draw.choice(("box", "box_any")), draw)] for sample in samples]
        for sample, row in zip(samples[::3], rows[::3], strict=True):
            row += self._branches(sample, ["frame"], draw)
        return _training_batch(samples, pack(rows))

    def texts(self, rng: np.random.Generator, draw: random.Random, count: int) -> TrainingBatch:
        """`count` rows without pictures: captions to rate, and in the last two captions to summarise."""
        rows = [[self._rating_branch(draw)] for _ in range(count - 2)]
        return TrainingBatch((), (), pack([*rows, *([self._summary_branch(rng, draw)] for _ in range(2))]))

    def _branches(self, sample: corpus.Sample, names: Sequence[str], draw: random.Random) -> list[Branch]:
        branches = []
        for name in names:
            fields = corpus.draw_fields(name, sample.reference, draw)
            query = corpus.draw_query(self.prompts, name, len(sample.pictures), draw, **fields)
            branches.append(encode(self.tokenizer, query, corpus.answer(name, sample.reference, fields), TOKENS))
        return branches

    def _definition_branch(self, sample: corpus.Sample, draw: random.Random) -> Branch:
        definition, seen = draw_definition(sample.visible, draw)
        fields = definition_fields(definition)
        query = corpus.draw_query(self.prompts, "watch_for", len(sample.pictures), draw, **fields)
        return encode(self.tokenizer, query, "YES" if seen else "NO", TOKENS)

    def _box_branch(self, sample: corpus.Sample, name: str, draw: random.Random) -> Branch:
        fields = corpus.draw_fields(name, sample.reference, draw)
        query = corpus.draw_query(self.prompts, name, 1, draw, **fields)
        return encode(self.tokenizer, query, corpus.draw_box_answer(sample.pictures[0], draw), TOKENS)

    def _summary_branch(self, rng: np.random.Generator, draw: random.Random) -> Branch:
        captions, reference = corpus.draw_summary(rng, draw)
        query = corpus.draw_query(self.prompts, "summarise", 0, draw, captions=captions)
        return encode(self.tokenizer, query, reference.sentence, TOKENS)

    def _rating_branch(self, draw: random.Random) -> Branch:
        reference = corpus.draw_reference_answer(draw)
        name = draw.choice(("rate", "rerate"))
        caption = draw.choice(corpus.captions(reference))
        fields = corpus.draw_fields(name, reference, draw) | {"caption": caption}
        query = corpus.draw_query(self.prompts, name, 0, draw, **fields)
        return encode(self.tokenizer, query, f"[{reference.severity:.1f}]", TOKENS)


def _training_batch(samples: Sequence[corpus.Sample], tokens: TokenBatch) -> TrainingBatch:
    pictures = tuple(picture for sample in samples for picture in sample.pictures)
    return TrainingBatch(pictures, tuple(event for sample in samples for event in sample.events), tokens)
