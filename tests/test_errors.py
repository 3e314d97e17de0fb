from __future__ import annotations

from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

from vaa.errors import VaaError, format_error


@pytest.mark.parametrize(
    ("keys", "suffix"),
    [
        (["weight"], "\n(config key: weight)"),
        (["run", "stages", "weight"], "\n(config key: stages.weight)"),
        (["runs", "weight"], "\n(config key: runs.weight)"),
        (["run", "position"], ""),  # the message names it
        (["run"], ""),
        ([], ""),
    ],
)
def test_an_error_of_a_component_is_shown_without_hydras_wrapper(keys: list[str], suffix: str) -> None:
    config: dict[str, Any] = {"_target_": "vaa.stages.scores.CentreWeight", "width": -1.0}
    for key in reversed(keys):
        config = {key: config}
    with pytest.raises(InstantiationException) as error:
        instantiate(config)
    assert format_error(error.value) == f"position: width=-1.0 must be above 0.{suffix}"


def test_a_missing_value_is_named_as_the_user_types_it() -> None:
    config = OmegaConf.create({"run": {"data": {"_target_": "vaa.stages.scores.CentreWeight", "width": "???"}}})
    with pytest.raises((InstantiationException, MissingMandatoryValue)) as error:
        instantiate(config.run)
    assert format_error(error.value) == "Missing mandatory value: data.width"


def test_an_unknown_target_is_shown_with_its_key() -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate({"run": {"page": {"_target_": "vaa.nothing.Nothing"}}})
    assert "vaa.nothing" in format_error(error.value)
    assert format_error(error.value).endswith("(config key: page)")


def test_other_errors_are_shown_unchanged() -> None:
    error = VaaError("data.root: no such folder.")
    error.__cause__ = OSError("errno 2")
    assert format_error(error) == "data.root: no such folder."
