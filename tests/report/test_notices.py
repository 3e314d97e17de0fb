from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from vaa.report.notices import notices
from vaa.stages.track import Keep
from vaa.types import Question, Report


@dataclass(frozen=True)
class Named:
    checkpoint: str
    identity: str | None = None

    def answer(self, questions: Sequence[Question]) -> Any:
        raise AssertionError

    def release(self) -> None: ...


@dataclass(frozen=True)
class Asks:
    model: Named

    def questions(self, report: Report) -> tuple[Question, ...]:
        return ()

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        return report


TINY = "vaa/tiny/checkpoints/vlm"


@pytest.mark.parametrize(
    ("checkpoints", "data", "said"),
    [
        ([TINY], "folder", 1),
        (["org/big", TINY], "ucf_crime", 1),
        ([TINY, TINY], "folder", 1),
        ([TINY], "synthetic", 0),
        (["org/big"], "folder", 0),
        ([], "folder", 0),
    ],
)
def test_the_tiny_model_on_real_videos_is_said(checkpoints: list[str], data: str, said: int) -> None:
    found = notices([Keep(), *(Asks(Named(name)) for name in checkpoints)], data)
    assert len(found) == said
    assert all(TINY in notice and data in notice for notice in found)
