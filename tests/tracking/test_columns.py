from __future__ import annotations

import pytest

from vaa.tracking.run import config_columns, job_name


def test_choices_and_numbers_are_columns_and_references_are_not() -> None:
    config = {
        "smoothing": {"_target_": "Gaussian", "sigma": 5.0},
        "data": {"root": "DIR"},
        "scores": {"root": "${data.root}/scores"},
        "stages": {"window": {"length": 30}, "smooth": "${smoothing}", "clean": None},
        "limit": None,
        "wandb": {"mode": "auto"},
    }
    resolved = {
        **config,
        "scores": {"root": "DIR/scores"},
        "stages": {"window": {"length": 30}, "smooth": config["smoothing"], "clean": None},
    }
    choices = {"smoothing": "gaussian9", "hydra/launcher": "basic", "experiment": None}
    assert config_columns(config, resolved, choices) == {
        "smoothing": "gaussian9",
        "smoothing._target_": "Gaussian",
        "smoothing.sigma": 5.0,
        "data.root": "DIR",
        "scores.root": "DIR/scores",
        "stages.window.length": 30,
        "stages.clean": None,
        "limit": None,
        "experiment": None,
    }


@pytest.mark.parametrize(
    ("swept", "name"),
    [
        ({"smoothing": ["none", "gaussian9"]}, "smoothing=none"),
        ({"position.width": ["0.5", "1"], "smoothing": ["none", "g"]}, "smoothing=none,position.width=0.5"),
        ({"smoothing": ["none", "none"]}, "smoothing=none #3"),
        ({"position.width": []}, "position.width=0.5 #3"),
        ({}, "data=ucf_crime,smoothing=none,~stages.clean=,position.width=0.5 #3"),
    ],
    ids=["one", "two", "repeated", "unknown-values", "unknown-keys"],
)
def test_a_job_is_named_by_its_differing_overrides(swept: dict[str, list[str]], name: str) -> None:
    overrides = ["data=ucf_crime", "smoothing=none", "~stages.clean=", "position.width=0.5"]
    assert job_name(swept, overrides, 3) == name
