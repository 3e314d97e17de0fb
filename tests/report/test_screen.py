from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from vaa.report.screen import plainly, show
from vaa.types import VaaError


def test_what_matters_is_said_and_what_is_not_there_is_not(caplog: pytest.LogCaptureFixture) -> None:
    metrics = {"videos": 3, "frames": 90, "failed": 1, "questions_asked": 5, "questions_remembered": 2, "unread": 4}
    with caplog.at_level(logging.INFO, "vaa"):
        show(metrics | {"roc_auc": 0.8251476}, Path("outputs/here"), [])
        whole = caplog.text
        show(metrics, Path("outputs/here"), ["mind the gap"])
    said = [record.getMessage() for record in caplog.records]
    assert said[0].split() == ["roc_auc", "0.825148"]
    assert said[1] == "3 videos, 90 frames, 1 failed"
    assert said[2] == "5 questions asked, 2 remembered, 4 answers unread"
    assert str(Path("outputs/here")) in said[3]
    assert "pr_auc" not in whole
    assert said[4:7] == said[1:4]
    assert "mind the gap" in said[7:]
    assert "mind the gap" not in whole


def test_an_error_of_a_component_is_told_without_the_machinery() -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate({"position": {"_target_": "vaa.stages.track.CentreWeight", "width": -1.0}})
    assert plainly(error.value) == "position: width=-1.0 must be above 0.\n(full_key: position)"


def test_any_other_error_is_told_as_it_is() -> None:
    error = VaaError("data.root: no such folder.")
    error.__cause__ = OSError("errno 2")
    assert plainly(error) == "data.root: no such folder."
