"""Models: frozen handles that answer questions. One backend per file; each loads on first use, never before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from vaa.types import XYXY, Answer, Question, Unanswered, Video


@runtime_checkable
class Model(Protocol):
    """A frozen model, run anywhere."""

    @property
    def identity(self) -> str | None:
        """Everything of the model that an answer hangs on; None if its answers are not to be remembered."""

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer | Unanswered]:
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
