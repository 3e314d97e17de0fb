"""Readers: from the text a model wrote to a Response. What cannot be read is NaN, never a guess."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vaa.types import Response

_FENCE = re.compile(r"^\s*`{3}[a-z]*\s*$|`{3}", re.MULTILINE | re.IGNORECASE)
_SENTENCE = re.compile(r"\.(?=\s|$)")


@dataclass(frozen=True)
class Verdict:
    """CoReVAD's contract: a verdict ("Anomalous scenes." or "Normal scenes."), then a sentence of description."""

    def __call__(self, text: str) -> Response:
        """Score 1 for an anomalous verdict, 0 for a normal one; the description is all that follows the first sentence."""
        words = " ".join(_FENCE.sub(" ", text).split())
        end = _SENTENCE.search(words)
        first = words[: end.end()] if end else words
        description = words[len(first) :].strip() or first
        lower = first.lower()
        score = math.nan
        if lower.startswith("anomalous scenes"):
            score = 1.0
        elif lower.startswith("normal scenes"):
            score = 0.0
        return Response(text=words, score=score, description=description)
