"""Stages: what a method does to a Report, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, get_type_hints, runtime_checkable

from vaa.errors import ConfigError
from vaa.models.base import LLM, VLM, Encoder, Model
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

_KINDS: dict[Any, str] = {VLM: "a VLM", LLM: "an LLM", Encoder: "an encoder"}


def check_models(stages: Mapping[str, Stage]) -> None:
    """Check that each stage's model is of the kind that the stage annotates its field `model` with.

    Raises:
        ConfigError: a stage has another kind of model, for example an encoder where it needs a VLM.
    """
    for name, stage in stages.items():
        if isinstance(stage, ModelStage):
            wanted = get_type_hints(type(stage))["model"]
            if not isinstance(stage.model, wanted):
                raise ConfigError(
                    f"stages.{name}.model: {type(stage.model).__name__} is not {_KINDS[wanted]}. Choose another model."
                )
