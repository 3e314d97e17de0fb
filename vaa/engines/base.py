"""The engine interface, and the engine that runs models in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vaa.models.base import Model, answer
from vaa.types import Answer, NoAnswer, Query


@runtime_checkable
class Engine(Protocol):
    """Runs a model on queries."""

    def answer(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer per query, in order."""

    def release(self, model: Model) -> None:
        """Free what the model occupies; the next query loads it again."""


@dataclass(frozen=True)
class LocalEngine:
    """Runs models in this process."""

    def answer(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        """One answer per query, in order."""
        yield from answer(model, queries)

    def release(self, model: Model) -> None:
        """Free the model's memory."""
        model.release()
