"""Engines: where models run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from vaa.models.base import Model
from vaa.types import Answer, NoAnswer, Query


@runtime_checkable
class Engine(Protocol):
    """Puts questions to a model, wherever it runs."""

    def ask(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer a question, in their order."""

    def release(self, model: Model) -> None:
        """Give back what is held for the model; the next question takes it again."""
