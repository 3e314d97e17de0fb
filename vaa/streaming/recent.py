"""Answers of the last moments, so that what is looked back at is not asked again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vaa.types import Answer, Question


class Recent:
    """A memo of one connection, in memory: what a whole turn did not use is forgotten at its end."""

    def __init__(self) -> None:
        self._old: dict[bytes, Answer] = {}
        self._new: dict[bytes, Answer] = {}

    def key(self, identity: str, question: Question) -> bytes:
        """What the answer hangs on, as 16 bytes, within one connection."""
        asked = (question.frames, question.system, question.text, question.max_new_tokens, question.choices)
        return hashlib.blake2b(repr((identity, *asked, question.until)).encode(), digest_size=16).digest()

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Those of the answers that are known; they are kept for the next turn."""
        known = self._old | self._new
        found = {key: known[key] for key in keys if key in known}
        self._new |= found
        return found

    def remember(self, key: bytes, answer: Answer) -> None:
        """Keep an answer for this turn and the next."""
        self._new[key] = answer

    def turn(self) -> None:
        """A turn has ended."""
        self._old, self._new = self._new, {}
