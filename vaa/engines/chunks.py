"""Neighbouring questions that are handed out together, and what becomes of them when a worker is lost over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vaa.types import Query


@dataclass(frozen=True)
class Chunk:
    """Questions in a row, the first of them the `start`-th of all; `lost`: how many workers ended over them."""

    start: int
    queries: tuple[Query, ...]
    lost: int = 0

    def again(self, attempts: int) -> tuple[Chunk, ...]:
        """What is asked after one more worker ended over it; nothing if it is one question that had its chances.

        The whole, until `attempts` workers are lost: whoever ended them may have meant something else. Then halves, and
        their halves, so that the others are not held up by one that nobody survives; that one gets all its attempts.
        """
        if self.lost + 1 < attempts:
            return (replace(self, lost=self.lost + 1),)
        if len(self.queries) == 1:
            return ()
        half = -(-len(self.queries) // 2)
        parts = (self.start, self.queries[:half]), (self.start + half, self.queries[half:])
        return tuple(Chunk(start, part, attempts - 1 if len(part) > 1 else 0) for start, part in parts)


def cut(queries: Sequence[Query], size: int) -> Iterator[Chunk]:
    """In order and at most `size` at a time, at the last border between videos where one is near the end."""
    start = 0
    while start < len(queries):
        end = min(start + size, len(queries))
        borders = (k for k in range(end, start + size // 2, -1) if _border(queries, k))
        stop = next(borders, end)
        yield Chunk(start, tuple(queries[start:stop]))
        start = stop


def _border(queries: Sequence[Query], k: int) -> bool:
    return k == len(queries) or queries[k].video != queries[k - 1].video
