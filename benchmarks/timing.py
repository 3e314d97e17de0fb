"""Two ways of doing the same work, timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was measured: a figure for people, whether it suffices, and all that was read off the clock."""

    name: str
    reference: str
    value: str
    wanted: str
    met: bool
    ours: Sequence[float]
    theirs: Sequence[float] = ()

    def told(self) -> dict[str, object]:
        """For `outputs/benchmarks.json`."""
        return {
            "reference": self.reference,
            "value": self.value,
            "wanted": self.wanted,
            "met": self.met,
            "ours": _summary(self.ours),
            "theirs": _summary(self.theirs),
        }


def _summary(seconds: Sequence[float]) -> dict[str, object] | None:
    if not seconds:
        return None
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "all": list(seconds)}


def clock(action: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def ratio(
    name: str,
    reference: str,
    at_least: float,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    repeats: int = 5,
) -> Row:
    """How many times as long the reference takes, by the medians of `repeats` turns after one that does not count."""
    ours(), theirs()
    pairs = [(clock(ours), clock(theirs)) for _ in range(repeats)]
    mine, others = [a for a, _ in pairs], [b for _, b in pairs]
    found = statistics.median(others) / statistics.median(mine)
    return Row(name, reference, f"{found:.2f}x", f">= {at_least:g}x", found >= at_least, mine, others)
