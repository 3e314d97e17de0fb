"""Segments as the mean of their frames' features, over one pass through a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vaa.types import EmbedQuery, Floats, NoAnswer, Video

Piece = tuple[Video, tuple[int, ...]]
"""Some frames of a video."""


def means(
    queries: Sequence[EmbedQuery],
    stride: int,
    size: int,
    features: Callable[[Sequence[Piece]], Iterator[Floats | str]],
) -> Iterator[Floats | NoAnswer]:
    """Each question's mean over its frames, every `stride`-th of them, in order; all are about one video.

    Its frames are looked at once, in pieces of `size`; what is held is a sum for each question that is not done.
    """
    wanted = [np.array(query.frames[::stride]) for query in queries]
    order = sorted(range(len(wanted)), key=lambda k: int(wanted[k][0]))
    union = np.unique(np.concatenate(wanted))
    pieces = [(queries[0].video, tuple(union[k : k + size].tolist())) for k in range(0, len(union), size)]
    sums: dict[int, Any] = {}
    done: dict[int, Floats | NoAnswer] = {}
    said = 0
    for (_, frames), found in zip(pieces, features(pieces), strict=True):
        for k in order:
            own = wanted[k]
            if own[0] > frames[-1]:
                break
            inside = np.searchsorted(frames, own[(own >= frames[0]) & (own <= frames[-1])])
            if len(inside) and not isinstance(sums.get(k), str):
                sums[k] = found if isinstance(found, str) else sums.get(k, 0.0) + found[inside].sum(axis=0, dtype=float)
            if own[-1] <= frames[-1]:
                done[k] = _mean(sums.pop(k), len(own))
        order = [k for k in order if k not in done]
        while said in done:
            yield done.pop(said)
            said += 1


def _mean(total: Any, count: int) -> Floats | NoAnswer:
    return NoAnswer(total) if isinstance(total, str) else np.asarray(total / count, dtype=np.float32)
