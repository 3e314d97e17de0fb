"""In this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaa.models.base import Model, answer
from vaa.types import Answer, NoAnswer, Query


@dataclass(frozen=True)
class LocalEngine:
    """Asks the model here, batch after batch."""

    def ask(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer a question, in their order."""
        yield from answer(model, queries)

    def release(self, model: Model) -> None:
        """Forget the weights."""
        model.release()
