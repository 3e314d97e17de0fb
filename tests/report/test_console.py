from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from vaa.errors import VaaError
from vaa.report.alerts import Alert, Alerts
from vaa.report.console import format_error, show

ALERTS = Alerts(0.5, 2.0, 0.5)
COUNTS = {"videos": 3, "frames": 90, "failed": 1, "model_queries": 5, "cache_hits": 2, "unparsed": 4}


def said(caplog: pytest.LogCaptureFixture, metrics: dict[str, float], *rest: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO, "vaa"):
        show(metrics, *rest)
    return [record.getMessage() for record in caplog.records]


def test_what_matters_is_said_and_what_is_not_there_is_not(caplog: pytest.LogCaptureFixture) -> None:
    first = said(caplog, COUNTS | {"roc_auc": 0.8251476, "anomalous_share": 0.1}, Path("outputs/here"), [], ALERTS, [])
    assert first[0].split() == ["roc_auc", "0.825148"]
    assert first[1] == "3 videos, 90 frames, 1 failed"
    assert first[2] == "5 questions asked, 2 remembered, 4 answers unread"
    assert str(Path("outputs/here")) in first[4]
    assert len(first) == 5
    second = said(caplog, COUNTS, Path("outputs/here"), ["mind the gap"], ALERTS, [])
    assert second[:4] == first[1:]
    assert "mind the gap" in second[4:]
    assert said(caplog, COUNTS, Path("outputs/here"), [], None, []) == [*first[1:3], first[4]]


def test_videos_without_labels_end_with_their_suspicious_intervals(caplog: pytest.LogCaptureFixture) -> None:
    alert = Alert("a", 30, 90, 40, 10.0, 0.914, 0.7, "a \x1b[31mfight\nbreaks out", "")
    lines = said(caplog, COUNTS, Path("here"), [], ALERTS, [alert] * 25)
    assert lines[2].startswith("25 suspicious intervals in 1 video: the score is at least 0.5 (alerts.threshold, ")
    assert lines[3] == "  a  0:00:03-0:00:09  highest 0.91, mean 0.70  a  [31mfight breaks out"
    assert len([line for line in lines if "0:00:03" in line]) == 20
    assert lines[23] == "  and 5 more: alerts.csv"
    labelled = said(caplog, COUNTS | {"anomalous_share": 0.1}, Path("here"), [], ALERTS, [alert])
    assert [line for line in labelled if "fight" in line] == []


def test_the_page_is_pointed_to_where_there_is_one(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    assert not [line for line in said(caplog, COUNTS, tmp_path, [], ALERTS, []) if "report.html" in line]
    (tmp_path / "report.html").touch()
    assert [line for line in said(caplog, COUNTS, tmp_path, [], ALERTS, []) if line.endswith("report.html")]


def test_an_error_of_a_component_is_told_without_the_machinery() -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate({"position": {"_target_": "vaa.stages.scores.CentreWeight", "width": -1.0}})
    assert format_error(error.value) == "position: width=-1.0 must be above 0.\n(full_key: position)"


def test_any_other_error_is_told_as_it_is() -> None:
    error = VaaError("data.root: no such folder.")
    error.__cause__ = OSError("errno 2")
    assert format_error(error) == "data.root: no such folder."
