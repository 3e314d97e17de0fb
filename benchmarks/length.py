"""Cost by length: the pipeline without a model, for 1, 10 and 100 times the segments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import truediv
from pathlib import Path

from benchmarks.timing import Row, repeats_within
from vaa.cache import AnswerCache
from vaa.engines.base import LocalEngine
from vaa.pipeline import analyse
from vaa.prompts.parsers import VerdictParser
from vaa.prompts.template import Prompt
from vaa.stages.responses import QuerySegments, ResponseScores
from vaa.stages.scores import CentreWeight, ExpandToFrames, GaussianKernel
from vaa.stages.window import ConsecutiveWindow
from vaa.types import Query, Video

# Every size runs for about as long, the large one between the small ones, and sizes are compared within a repeat: the
# clock rate may change by half within a minute.
_ORDER = [1] * 50 + [10] * 5 + [100] + [10] * 5 + [1] * 50


@dataclass(frozen=True)
class InstantModel:
    """Answers at once, so that only the pipeline is measured."""

    identity: str | None = None

    def generate(self, queries: Sequence[Query]) -> Iterator[str]:
        for query in queries:
            yield "Anomalous scenes. Fire." if query.at % 7 == 0 else "Normal scenes. A street."

    def release(self) -> None:
        """Nothing is loaded."""


def rows() -> list[Row]:
    prompt = Prompt(
        purpose="verdict",
        system="",
        text="$frames\nWhat?",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=8,
        parser=VerdictParser(),
    )
    stages = {
        "window": ConsecutiveWindow(length=30, n_frames=8),
        "query": QuerySegments(model=InstantModel(), prompt=prompt),
        "score": ResponseScores(missing=0.0),
        "smooth": GaussianKernel(size=9, sigma=5.0),
        "frames": ExpandToFrames(),
        "position": CentreWeight(width=0.5),
    }
    per_video: dict[int, list[float]] = {n: [] for n in (1, 10, 100)}
    repeat, repeats = 0, 10
    while repeat < repeats:
        start = time.perf_counter()
        seconds: dict[int, list[float]] = {n: [] for n in per_video}
        for n in _ORDER:
            videos = [Video(f"v{k}", Path("none"), 30 * 500, 30.0) for k in range(n)]
            seconds[n].append(_cpu_seconds(partial(analyse, videos, {}, stages, LocalEngine(), AnswerCache(None))) / n)
        for n, values in seconds.items():
            per_video[n] += [statistics.mean(values)] if repeat else []  # the first repeat is a warm-up
        repeat, repeats = repeat + 1, 1 + repeats_within(time.perf_counter() - start, most=9)
    ratios = {n: statistics.median(map(truediv, per_video[n], per_video[10])) for n in (1, 100)}
    worst = max(abs(ratio - 1) for ratio in ratios.values())
    milliseconds = " / ".join(f"{statistics.median(values) * 1000 / 500:.3f}" for values in per_video.values())
    return [
        Row(
            "cost of 500, 5,000 and 50,000 segments (processor time)",
            "-",
            f"{milliseconds} ms a segment, {worst:.0%} apart",
            "within 10 %",
            worst <= 0.1,
            per_video[100],
        )
    ]


def _cpu_seconds(action: Callable[[], object]) -> float:
    """Processor time, since the work is done by one thread and other programs use the machine too."""
    start = time.process_time()
    action()
    return time.process_time() - start
