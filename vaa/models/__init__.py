"""Models: frozen handles that answer questions. One backend per file; each loads on first use, never before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from vaa.types import Floats, Question, Unanswered


@runtime_checkable
class VLM(Protocol):
    """Answers questions about frames in words; an LLM does so without frames."""

    @property
    def identity(self) -> str | None:
        """Everything of the model that an answer hangs on; None if its answers are not to be remembered."""

    def answer(self, questions: Sequence[Question]) -> Iterator[str | Unanswered]:
        """One answer a question, in their order."""

    def release(self) -> None:
        """Give back the memory; the next question loads again."""


LLM = VLM


@runtime_checkable
class Encoder(Protocol):
    """Embeds frames (the mean over a question's frames) or a text into one space: vectors of shape (d,)."""

    @property
    def identity(self) -> str | None:
        """Everything of the encoder that a vector hangs on; None if it is not to be remembered."""

    def answer(self, questions: Sequence[Question]) -> Iterator[Floats | Unanswered]:
        """One vector a question, in their order."""

    def release(self) -> None:
        """Give back the memory; the next question loads again."""
