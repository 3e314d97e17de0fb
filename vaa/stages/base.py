"""Stages: the steps of a method, each from a Report to a Report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, get_type_hints, runtime_checkable

from vaa.errors import ConfigError
from vaa.models.base import LLM, VLM, Encoder, Model
from vaa.types import Query, Report


class Extent(Enum):
    """How much of a video decides what a stage computes for a segment; see the constants below."""

    SEGMENT = "segment"
    PER_FRAME = "per frame"
    WHOLE_VIDEO = "whole video"


SEGMENT = Extent.SEGMENT
"""The segment alone."""

PER_FRAME = Extent.PER_FRAME
"""The stage repeats each segment's score for its frames; a causal run delays the scores before it."""

WHOLE_VIDEO = Extent.WHOLE_VIDEO
"""The whole video: a result depends on frames to come, so the stage cannot run causally."""


@dataclass(frozen=True)
class Neighbours:
    """The segments up to `radius` before and after (None: all), and fewer where there are fewer.

    A causal run gives such a stage only the segments up to the current one.
    """

    radius: int | None


Scope = Extent | Neighbours


@runtime_checkable
class Transform(Protocol):
    """A stage without a model: Report -> Report."""

    @property
    def scope(self) -> Scope:
        """How much of the video decides the result for a segment; `causal=true` depends on it."""

    def __call__(self, report: Report) -> Report:
        """The report with the results of this stage."""


@runtime_checkable
class ModelStage(Protocol):
    """A stage that needs a model: it makes the queries and uses the answers; the pipeline queries the model.

    The annotation of its field `model` (VLM, LLM or Encoder) is the kind of model that it needs.
    """

    @property
    def scope(self) -> Scope:
        """How much of the video decides the result for a segment; `causal=true` depends on it."""

    @property
    def model(self) -> Model:
        """The model to query."""

    def queries(self, report: Report) -> tuple[Query, ...]:
        """The queries about a video; empty if there is nothing to do."""

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        """The report with the results of the answers, which are in the order of the queries."""


Stage = Transform | ModelStage


@runtime_checkable
class NeedsBoxes(Protocol):
    """A stage whose model has to give boxes (Locator)."""

    @property
    def model(self) -> Model:
        """The model to query."""

    @property
    def needs_boxes(self) -> bool:
        """True."""


@runtime_checkable
class HasCausalForm(Protocol):
    """A stage that is replaced by another one in a causal run."""

    def causal(self) -> Stage:
        """The stage that takes its place."""


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
