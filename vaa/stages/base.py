"""Stages: what a method does to a Report, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from vaa.models.base import Model
from vaa.types import Query, Report


@runtime_checkable
class Transform(Protocol):
    """A stage that asks nothing: Report -> Report."""

    def __call__(self, report: Report) -> Report:
        """The report with what this stage adds."""


@runtime_checkable
class ModelStage(Protocol):
    """A stage that needs a model: it says what it asks and what it makes of the answers; the pipeline asks."""

    @property
    def model(self) -> Model:
        """Who is asked."""

    def queries(self, report: Report) -> tuple[Query, ...]:
        """What is asked about this video; nothing where the stage has nothing to do."""

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        """The report with what the answers, in the order of the questions, add."""


Stage = Transform | ModelStage
