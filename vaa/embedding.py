"""Vectors of segments: means over those of their frames, each of which a model embeds once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaa.engines.base import Engine
from vaa.frame_vectors import FrameVectors
from vaa.models.base import FrameEncoder, mean_vector
from vaa.types import Floats, FramesQuery, NoAnswer, Query

_BLOCK = 256
"""Frames of a query; about as many are embedded again after the run was killed."""


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """The frames whose mean is a segment's vector, and where their own vectors are stored."""

    vectors: FrameVectors
    frames: tuple[int, ...]


def embed_missing(
    model: FrameEncoder,
    queries: Mapping[SegmentKey, Query],
    engine: Engine,
    progress: Callable[[Sequence[FramesQuery]], Iterable[FramesQuery]],
) -> tuple[int, dict[FrameVectors, NoAnswer]]:
    """Embed the frames of segments that have no vector yet, in the order of the videos.

    Returns the number of queries with such frames, and of each video that has no vectors the reason.
    """
    frames: dict[FrameVectors, set[int]] = {}
    for key in queries:
        frames.setdefault(key.vectors, set()).update(key.frames)
    missing = {vectors: vectors.missing(sorted(wanted)) for vectors, wanted in frames.items()}
    new = {vectors: set(numbers) for vectors, numbers in missing.items()}
    n_queries = sum(not new[key.vectors].isdisjoint(key.frames) for key in queries)
    videos = {key.vectors: query.video for key, query in queries.items()}
    blocks = {
        FramesQuery(video=videos[vectors], at=numbers[first], frames=tuple(numbers[first : first + _BLOCK])): vectors
        for vectors, numbers in missing.items()
        for first in range(0, len(numbers), _BLOCK)
    }
    errors: dict[FrameVectors, NoAnswer] = {}
    stream = engine.answer(model, list(blocks)) if blocks else iter(())
    for block, answer in zip(progress(list(blocks)), stream, strict=True):
        if isinstance(answer, NoAnswer):
            errors.setdefault(blocks[block], answer)
        else:
            blocks[block].write(block.frames, np.asarray(answer))
    return n_queries, errors


def segment_vectors(
    keys: Iterable[SegmentKey], errors: Mapping[FrameVectors, NoAnswer]
) -> Iterator[tuple[SegmentKey, Floats | NoAnswer]]:
    """The vector (d,) of each segment, or why there is none."""
    for key in keys:
        yield key, errors.get(key.vectors) or mean_vector(key.vectors.read(key.frames))
