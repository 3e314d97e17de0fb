from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from making import recorded_model

from vaa.errors import ConfigError
from vaa.models.base import LLM, VLM, Encoder
from vaa.models.transformers.encoder import ClipEncoder
from vaa.models.transformers.llm import TransformersLLM
from vaa.models.transformers.vlm import TransformersVLM
from vaa.stages.base import check_models
from vaa.types import Query, Report


class Stage:
    def queries(self, report: Report) -> tuple[Query, ...]:
        return ()

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        return report


@dataclass(frozen=True)
class VLMStage(Stage):
    model: VLM


@dataclass(frozen=True)
class LLMStage(Stage):
    model: LLM


@dataclass(frozen=True)
class EncoderStage(Stage):
    model: Encoder


SIZES = ("hub/name", None, "float32")
MODELS = {
    "TransformersVLM": TransformersVLM(
        *SIZES, "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 1, "decord", None, "pil"
    ),
    "TransformersLLM": TransformersLLM(*SIZES, "none", "cpu", "sdpa", 0.0, 1.0, 0, 1),
    "ClipEncoder": ClipEncoder(*SIZES, "cpu", (0.5,), (0.5,), "bicubic", 1, "decord", 1, None, "pil"),
    "RecordedModel": recorded_model(),
}
ACCEPTED = {
    VLMStage: {"TransformersVLM", "RecordedModel"},
    LLMStage: {"TransformersVLM", "RecordedModel", "TransformersLLM"},
    EncoderStage: {"ClipEncoder"},
}


@pytest.mark.parametrize("stage", ACCEPTED)
@pytest.mark.parametrize("name", MODELS)
def test_a_stage_accepts_only_models_of_its_kind(stage: type[Any], name: str) -> None:
    stages = {"rate": stage(MODELS[name])}
    if name in ACCEPTED[stage]:
        check_models(stages)
    else:
        with pytest.raises(ConfigError, match=rf"stages\.rate\.model: {name} is not an? "):
            check_models(stages)
