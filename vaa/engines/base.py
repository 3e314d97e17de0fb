"""Engines: where models run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from vaa.models import Model
from vaa.types import Answer, Question, Unanswered


@runtime_checkable
class Engine(Protocol):
    """Puts questions to a model, wherever it runs."""

    def ask(self, model: Model, questions: Sequence[Question]) -> Iterator[Answer | Unanswered]:
        """One answer a question, in their order."""

    def release(self, model: Model) -> None:
        """Give back what is held for the model; the next question takes it again."""
