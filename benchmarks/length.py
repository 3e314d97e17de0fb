"""Cost against length: the pipeline behind the model over 1, 10 and 100 times the segments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import truediv
from pathlib import Path

from benchmarks.timing import Row
from vaa.cache import AnswerCache
from vaa.engines.base import LocalEngine
from vaa.pipeline import analyse
from vaa.prompts.parsers import VerdictParser
from vaa.prompts.template import Prompt
from vaa.stages.responses import QuerySegments, ResponseScores
from vaa.stages.scores import CentreWeight, ExpandToFrames, GaussianKernel
from vaa.stages.window import ConsecutiveWindow
from vaa.types import Query, Video

# Each size for about as long, the large one amid the small ones, and compared in one turn: the clock of these machines
# wanders by half within a minute, which is not what a segment costs.
_AROUND = [1] * 50 + [10] * 5 + [100] + [10] * 5 + [1] * 50


@dataclass(frozen=True)
class Said:
    """Answers at once, so that only vaa's own work is measured."""

    identity: str | None = None

    def generate(self, queries: Sequence[Query]) -> Iterator[str]:
        for query in queries:
            yield "Anomalous scenes. Fire." if query.at % 7 == 0 else "Normal scenes. A street."

    def release(self) -> None:
        """Nothing is held."""


def rows() -> list[Row]:
    prompt = Prompt("verdict", "", "$frames\nWhat?", None, 8, VerdictParser())
    stages = {
        "window": ConsecutiveWindow(30, 8),
        "ask": QuerySegments(Said(), prompt),
        "score": ResponseScores(0.0),
        "smooth": GaussianKernel(9, 5.0),
        "frames": ExpandToFrames(),
        "position": CentreWeight(0.5),
    }
    each: dict[int, list[float]] = {times: [] for times in (1, 10, 100)}
    for turn in range(10):
        spent: dict[int, list[float]] = {times: [] for times in each}
        for times in _AROUND:
            videos = [Video(f"v{k}", Path("none"), 30 * 500, 30.0) for k in range(times)]
            spent[times].append(_spent(partial(analyse, videos, {}, stages, LocalEngine(), AnswerCache(None))) / times)
        for times, seconds in spent.items():
            each[times] += [statistics.mean(seconds)] if turn else []  # the first turn does not count
    apart = {times: statistics.median(map(truediv, each[times], each[10])) for times in (1, 100)}
    worst = max(abs(ratio - 1) for ratio in apart.values())
    said = " / ".join(f"{statistics.median(seconds) * 1000 / 500:.3f}" for seconds in each.values())
    return [
        Row(
            "cost of 500, 5,000 and 50,000 segments (processor time)",
            "-",
            f"{said} ms a segment, {worst:.0%} apart",
            "within 10 %",
            worst <= 0.1,
            each[100],
        )
    ]


def _spent(action: Callable[[], object]) -> float:
    """Processor seconds: it is one thread's work, and others use the machine too."""
    began = time.process_time()
    action()
    return time.process_time() - began
