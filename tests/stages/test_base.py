from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cpu_models import cpu_encoder, cpu_llm, cpu_vlm
from making import recorded_model

from vaa import stages
from vaa.errors import ConfigError
from vaa.models.base import LLM, VLM, Encoder
from vaa.stages.base import SEGMENT, Extent, Neighbours, Scope, check_models
from vaa.types import Query, Report


class Stage:
    scope: ClassVar[Scope] = SEGMENT

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


MODELS = {
    "TransformersVLM": cpu_vlm("hub/name"),
    "TransformersLLM": cpu_llm("hub/name"),
    "ClipEncoder": cpu_encoder("hub/name", mean=(0.5,) * 3, std=(0.5,) * 3),
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
    method = {"rate": stage(model=MODELS[name])}
    if name in ACCEPTED[stage]:
        check_models(method)
    else:
        with pytest.raises(ConfigError, match=rf"stages\.rate\.model: {name} is not an? "):
            check_models(method)


def stage_classes() -> dict[str, type[Any]]:
    """Every class in vaa/stages/ that is a stage, by module and name."""
    classes: dict[str, type[Any]] = {}
    for file in sorted(Path(stages.__file__).parent.glob("*.py")):
        module = import_module(f"vaa.stages.{file.stem}")
        for name, value in vars(module).items():
            is_stage = isinstance(value, type) and (hasattr(value, "absorb") or "__call__" in vars(value))
            if is_stage and is_dataclass(value) and value.__module__ == module.__name__ and name != "CausalMethod":
                classes[f"{file.stem}.{name}"] = value
    return classes


@pytest.mark.parametrize("name", stage_classes())
def test_a_stage_is_final_built_by_keyword_and_declares_its_scope(name: str) -> None:
    stage = stage_classes()[name]
    assert stage.__dataclass_params__.frozen
    assert all(field.kw_only for field in fields(stage))
    scope = vars(stage)["scope"]  # on the class itself
    assert isinstance(scope, Extent | Neighbours | property)


def test_all_stages_are_found() -> None:
    assert len(stage_classes()) >= 35
