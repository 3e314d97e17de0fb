"""Answers of the last moments, so that what is looked back at is not asked again."""

from __future__ import annotations

from collections.abc import Sequence

from vaa.cache import cache_key
from vaa.types import Answer, Query


class RecentAnswers:
    """A memo of one connection, in memory: what a whole turn did not use is forgotten at its end."""

    def __init__(self) -> None:
        self._old: dict[bytes, Answer] = {}
        self._new: dict[bytes, Answer] = {}

    def key(self, identity: str, query: Query) -> bytes:
        """What the answer hangs on, as 16 bytes, within one connection."""
        return cache_key(identity, None, query)

    def load(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are known; they are kept for the next turn."""
        known = self._old | self._new
        found = {key: known[key] for key in keys if key in known}
        self._new |= found
        return found

    def store(self, key: bytes, answer: Answer) -> None:
        """Keep an answer for this turn and the next."""
        self._new[key] = answer

    def turn(self) -> None:
        """A turn has ended."""
        self._old, self._new = self._new, {}
