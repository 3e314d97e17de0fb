"""A row of the table of benchmarks, and the ratio of two timed functions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured value as text, whether it meets what is required, and the seconds of every repeat."""

    name: str
    reference: str
    value: str
    required: str
    met: bool
    seconds: Sequence[float]
    reference_seconds: Sequence[float] = ()

    def as_dict(self) -> dict[str, object]:
        """For `outputs/benchmarks.json`."""
        return {
            "reference": self.reference,
            "value": self.value,
            "required": self.required,
            "met": self.met,
            "ours": _summary(self.seconds),
            "theirs": _summary(self.reference_seconds),
        }


def _summary(seconds: Sequence[float]) -> dict[str, object] | None:
    if not seconds:
        return None
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "all": list(seconds)}


def clock(action: Callable[[], object]) -> float:
    """The seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratio(
    name: str,
    reference: str,
    at_least: float,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    repeats: int = 5,
) -> Row:
    """How many times as long `theirs` takes, by the medians of alternating repeats after one that is not counted."""
    ours(), theirs()
    pairs = [(clock(ours), clock(theirs)) for _ in range(repeats)]
    seconds, reference_seconds = [a for a, _ in pairs], [b for _, b in pairs]
    value = statistics.median(reference_seconds) / statistics.median(seconds)
    return Row(name, reference, f"{value:.2f}x", f">= {at_least:g}x", value >= at_least, seconds, reference_seconds)
