"""An encoder of texts that needs no weights, beside recorded embeddings of frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vaa.types import EmbedQuery, Floats

DIMENSIONS = 8
WORD_VECTORS = ("~encoder.text", "+encoder.text._target_=word_vectors.WordVectors")
"""Overrides that put it in the place of `encoder.text`."""


def text_vector(text: str) -> Floats:
    """A unit vector that follows from the words of a text; zero for an empty one."""
    words = " ".join(text.split())
    if not words:
        return np.zeros(DIMENSIONS)
    seed = int(hashlib.sha256(words.encode()).hexdigest()[:8], 16)
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return np.asarray(vector / np.linalg.norm(vector))


@dataclass(frozen=True)
class WordVectors:
    """Embeds texts only."""

    @property
    def identity(self) -> None:
        return None

    def embed(self, queries: Sequence[EmbedQuery]) -> Iterator[Floats]:
        for query in queries:
            assert not query.frames, "frames are recorded"
            yield text_vector(query.text)

    def release(self) -> None: ...
