from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from alert_rules import alert_rule

from vaa.errors import ConfigError
from vaa.report.alerts import Alert
from vaa.report.console import check_tiny_models, events_text, log_summary, notices
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.scores import Identity
from vaa.types import Query, Report

RULE = alert_rule()
COUNTS = {"videos": 3, "frames": 90, "failed": 1, "model_queries": 5, "cache_hits": 2, "unparsed": 4}


def messages(caplog: pytest.LogCaptureFixture, metrics: dict[str, float], *rest: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO, "vaa"):
        log_summary(metrics, *rest)
    return [record.getMessage() for record in caplog.records]


def test_the_summary_has_what_the_metrics_have(caplog: pytest.LogCaptureFixture) -> None:
    first = messages(
        caplog, COUNTS | {"roc_auc": 0.8251476, "anomalous_share": 0.1}, Path("outputs/here"), [], RULE, []
    )
    assert first[0].split() == ["roc_auc", "0.825148"]
    assert first[1] == "3 videos, 90 frames, 1 failed"
    assert first[2] == "5 model queries, 2 from the cache, 4 answers unparsed"
    assert str(Path("outputs/here")) in first[4]
    assert len(first) == 5
    second = messages(caplog, COUNTS, Path("outputs/here"), ["a notice"], RULE, [])
    assert second[:4] == first[1:]
    assert "a notice" in second[4:]
    assert messages(caplog, COUNTS, Path("outputs/here"), [], None, []) == [*first[1:3], first[4]]


def test_without_labels_the_alerts_are_listed(caplog: pytest.LogCaptureFixture) -> None:
    alert = Alert(
        video="a",
        start=30,
        stop=90,
        peak=40,
        start_seconds=3.0,
        stop_seconds=9.0,
        peak_seconds=4.0,
        fps=10.0,
        highest=0.914,
        mean=0.7,
        definition="",
        text="a \x1b[31mfight\nbreaks out",
        tags="",
        hit=None,
    )
    lines = messages(caplog, COUNTS, Path("here"), [], RULE, [alert] * 25)
    assert lines[2] == "25 alerts in 1 video (threshold 0.5, not tuned)"
    assert lines[3] == "  a  0:00:03-0:00:09  highest 0.91, mean 0.70  a  [31mfight breaks out"
    assert len([line for line in lines if "0:00:03" in line]) == 20
    assert lines[23] == "  and 5 more: alerts.csv"
    labelled = messages(caplog, COUNTS | {"anomalous_share": 0.1}, Path("here"), [], RULE, [alert])
    assert [line for line in labelled if "fight" in line] == []
    named = messages(caplog, COUNTS, Path("here"), [], RULE, [replace(alert, definition="violence")])
    assert "violence: a" in named[3]


def test_events_are_one_sentence() -> None:
    numbers = {"events": 12, "events_hit": 9, "false_alerts": 2, "false_alerts_per_hour": 1.5, "median_delay_s": 1.44}
    assert events_text(numbers) == "9 of 12 events, 2 false alerts (1.5 per hour), 1.4 s late (median)"
    none = {"events": 1, "events_hit": 0, "false_alerts": 1, "false_alerts_per_hour": 30.0, "median_delay_s": math.nan}
    assert events_text(none) == "0 of 1 event, 1 false alert (30.0 per hour)"


def test_the_path_of_the_page_is_logged_if_there_is_one(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    assert not [line for line in messages(caplog, COUNTS, tmp_path, [], RULE, []) if "report.html" in line]
    (tmp_path / "report.html").touch()
    assert [line for line in messages(caplog, COUNTS, tmp_path, [], RULE, []) if line.endswith("report.html")]


@dataclass(frozen=True)
class NamedModel:
    checkpoint: str
    identity: str | None = None

    def generate(self, queries: Sequence[Query]) -> Any:
        raise AssertionError

    def choose(self, queries: Sequence[Query]) -> Any:
        raise AssertionError

    def release(self) -> None: ...


@dataclass(frozen=True)
class QueryStage:
    model: NamedModel
    scope: ClassVar[Scope] = SEGMENT

    def queries(self, report: Report) -> tuple[Query, ...]:
        return ()

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        return report


TINY = "vaa/tiny/checkpoints/vlm"


@pytest.mark.parametrize(
    ("checkpoints", "data", "count"),
    [
        ([TINY], "folder", 1),
        (["org/big", TINY], "ucf_crime", 1),
        ([TINY, TINY], "folder", 1),
        ([TINY], "synthetic", 0),
        (["org/big"], "folder", 0),
        ([], "folder", 0),
    ],
)
def test_the_tiny_model_on_real_videos_gives_a_notice(checkpoints: list[str], data: str, count: int) -> None:
    result = notices([Identity(), *(QueryStage(NamedModel(name)) for name in checkpoints)], data)
    assert len(result) == count
    assert all(TINY in notice and data in notice for notice in result)


@dataclass(frozen=True)
class NamedVLM:
    """A model of every kind, which is not queried."""

    checkpoint: str
    accepts_frames: bool = True
    identity: str = "model"

    def generate(self, queries: Any) -> Any: ...

    def choose(self, queries: Any) -> Any: ...

    def release(self) -> None: ...


@dataclass(frozen=True)
class NamedEncoder:
    checkpoint: str
    identity: str = "model"

    def embed(self, queries: Any) -> Any: ...

    def release(self) -> None: ...


@dataclass(frozen=True)
class UsingModel:
    model: Any
    scope: ClassVar[Scope] = SEGMENT

    def queries(self, report: Report) -> tuple[Query, ...]:
        return ()

    def absorb(self, report: Report, answers: Any) -> Report:
        return report


TINY_VLM, TINY_CLIP = NamedVLM("vaa/tiny/checkpoints/vlm"), NamedEncoder("vaa/tiny/checkpoints/clip")
REAL_VLM, REAL_CLIP = NamedVLM("OpenGVLab/InternVL3-8B-hf"), NamedEncoder("openai/clip-vit-base-patch16")


@pytest.mark.parametrize(
    ("models", "overrides", "refused"),
    [
        ((REAL_VLM, TINY_CLIP), (), "encoder=tiny_clip.*encoder=clip_vit_b16"),
        ((REAL_VLM, TINY_CLIP), ("vlm=internvl", "encoder.batch_size=4"), "encoder=tiny_clip"),
        ((TINY_VLM, REAL_CLIP), ("encoder=clip_vit_b16",), "vlm=tiny.*vlm=internvl"),
        ((REAL_VLM, TINY_CLIP), ("encoder=tiny_clip",), None),
        ((REAL_VLM, TINY_CLIP), ("encoder.checkpoint=vaa/tiny/checkpoints/clip",), None),
        ((TINY_VLM, REAL_CLIP), ("vlm=tiny",), None),
        ((TINY_VLM, TINY_CLIP), (), None),
        ((REAL_VLM, REAL_CLIP), (), None),
        ((REAL_VLM,), (), None),
    ],
)
def test_a_tiny_model_beside_a_real_one_is_refused_unless_named(
    models: tuple[Any, ...], overrides: tuple[str, ...], refused: str | None
) -> None:
    stages = [UsingModel(model) for model in models]
    check_tiny_models(stages, "synthetic", overrides)
    if refused is None:
        check_tiny_models(stages, "folder", overrides)
    else:
        with pytest.raises(ConfigError, match=refused):
            check_tiny_models(stages, "folder", overrides)
