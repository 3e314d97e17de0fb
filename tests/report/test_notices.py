from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from vaa.report.notices import notices
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.scores import Identity
from vaa.types import Query, Report


@dataclass(frozen=True)
class Named:
    checkpoint: str
    identity: str | None = None

    def generate(self, queries: Sequence[Query]) -> Any:
        raise AssertionError

    def choose(self, queries: Sequence[Query]) -> Any:
        raise AssertionError

    def release(self) -> None: ...


@dataclass(frozen=True)
class Asks:
    scope: ClassVar[Scope] = SEGMENT

    model: Named

    def queries(self, report: Report) -> tuple[Query, ...]:
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
    found = notices([Identity(), *(Asks(Named(name)) for name in checkpoints)], data)
    assert len(found) == said
    assert all(TINY in notice and data in notice for notice in found)
