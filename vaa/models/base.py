"""Models: frozen handles that answer questions. One backend per file; each loads on first use, never before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vaa.types import XYXY, Answer, NoAnswer, Query, Video


@runtime_checkable
class Model(Protocol):
    """A frozen model, run anywhere."""

    @property
    def identity(self) -> str | None:
        """Everything of the model that an answer hangs on; None if its answers are not to be remembered."""

    def answer(self, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer a question, in their order."""

    def release(self) -> None:
        """Give back the memory; the next question loads again."""


@runtime_checkable
class Locator(Protocol):
    """A VLM that gives boxes."""

    def to_frame(self, video: Video, xyxy: XYXY) -> XYXY:
        """A box as the model wrote it, in the pixels of the video's frames."""


VLM = Model
"""Answers in words what is asked about frames, or gives the probability of each of a question's choices."""

LLM = Model
"""The same without frames."""

Encoder = Model
"""Embeds frames (the mean over a question's frames) or a text into one space: vectors of shape (d,)."""


@dataclass(frozen=True)
class WaitStats:
    """How long so many of `what` took, and how much of it was waiting for pixels, in seconds."""

    count: int
    what: str
    seconds: float
    waited: float

    @classmethod
    def together(cls, parts: Sequence[WaitStats]) -> WaitStats:
        """Of several workers: their times are added up."""
        count, seconds, waited = (sum(of) for of in zip(*((p.count, p.seconds, p.waited) for p in parts), strict=True))
        return cls(int(count), parts[0].what, seconds, waited)

    def __str__(self) -> str:
        share = self.waited / self.seconds if self.seconds else 0.0
        return f"{self.count} {self.what} in {self.seconds:.1f} s, {share:.0%} of it waiting for pixels"
