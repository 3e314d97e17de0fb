"""Cost against length: the pipeline behind the model over 1, 10 and 100 times the segments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.timing import Row
from vaa.engines.local import Local
from vaa.memo import Memo
from vaa.parse import Verdict
from vaa.pipeline import analyse
from vaa.prompt import Prompt
from vaa.stages.ask import Ask, Score
from vaa.stages.track import CentreWeight, GaussianKernel, PerFrame
from vaa.stages.window import Consecutive
from vaa.types import Question, Video


@dataclass(frozen=True)
class Said:
    """Answers at once, so that only vaa's own work is measured."""

    identity: str | None = None

    def answer(self, questions: Sequence[Question]) -> Iterator[str]:
        for question in questions:
            yield "Anomalous scenes. Fire." if question.at % 7 == 0 else "Normal scenes. A street."

    def release(self) -> None:
        """Nothing is held."""


def rows() -> list[Row]:
    prompt = Prompt("verdict", "", "$frames\nWhat?", None, 8, Verdict())
    stages = {
        "window": Consecutive(30, 8), "ask": Ask(Said(), prompt), "score": Score(0.0), "smooth": GaussianKernel(9, 5.0),
        "frames": PerFrame(), "position": CentreWeight(0.5),
    }  # fmt: skip
    each: dict[int, list[float]] = {times: [] for times in (1, 10, 100)}
    for turn in range(6):
        for times, often in ((1, 10), (10, 3), (100, 1)):
            videos = [Video(f"v{k}", Path("none"), 30 * 500, 30.0) for k in range(times)]
            spent = [_spent(partial(analyse, videos, {}, stages, Local(), Memo(None))) for _ in range(often)]
            each[times] += [seconds / times for seconds in spent if turn]  # the first turn does not count
    median = {times: statistics.median(seconds) for times, seconds in each.items()}
    worst = max(abs(median[times] / median[10] - 1) for times in (1, 100))
    said = (
        " / ".join(f"{seconds * 1000 / 500:.3f}" for seconds in median.values()) + f" ms a segment, {worst:.0%} apart"
    )
    return [
        Row(
            "cost of 500, 5,000 and 50,000 segments (processor time)", "-", said, "within 10 %", worst <= 0.1, each[100]
        )
    ]


def _spent(action: Callable[[], object]) -> float:
    """Processor seconds: it is one thread's work, and others use the machine too."""
    began = time.process_time()
    action()
    return time.process_time() - began
