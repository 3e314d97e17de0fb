"""In this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaa.models import Model
from vaa.types import Answer, Question, Unanswered


@dataclass(frozen=True)
class Local:
    """Asks the model here, batch after batch."""

    def ask(self, model: Model, questions: Sequence[Question]) -> Iterator[Answer | Unanswered]:
        """One answer a question, in their order."""
        yield from model.answer(questions)

    def release(self, model: Model) -> None:
        """Forget the weights."""
        model.release()
