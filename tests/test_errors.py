from __future__ import annotations

from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from vaa.errors import VaaError, format_error


@pytest.mark.parametrize(
    ("keys", "suffix"),
    [
        (["position"], "\n(config key: position)"),
        (["run", "stages", "position"], "\n(config key: stages.position)"),
        (["runs", "position"], "\n(config key: runs.position)"),
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


def test_other_errors_are_shown_unchanged() -> None:
    error = VaaError("data.root: no such folder.")
    error.__cause__ = OSError("errno 2")
    assert format_error(error) == "data.root: no such folder."
