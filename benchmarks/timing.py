"""A row of the table of benchmarks, and the ratio of two timed functions."""

from __future__ import annotations

import statistics
import sys
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


ROW_SECONDS = 100.0
"""What the repeats of a row may take together; on slow cores there are fewer."""


def repeats_within(seconds: float, most: int, used: float = 0.0) -> int:
    """How many repeats of this many seconds fit a row, from 1 to `most`; `used` seconds are spent already."""
    return max(1, min(most, int((ROW_SECONDS - used) / seconds)))


def announce(name: str, seconds: float) -> None:
    """State about how long a row takes."""
    print(f"  {name}: about {seconds:.0f} s", file=sys.stderr, flush=True)


def ratio(
    name: str,
    reference: str,
    at_least: float,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    repeats: int = 5,
    warm: float | None = None,
) -> Row:
    """How many times as long `theirs` takes, by the medians of alternating repeats after one that is not counted.

    There are as many of the `repeats` as fit ROW_SECONDS. `warm` are the seconds of an earlier call of both, which then
    takes the place of the one that is not counted.
    """
    first = clock(ours) + clock(theirs) if warm is None else warm
    count = repeats_within(first, repeats, used=first)
    announce(name, count * first)
    pairs = [(clock(ours), clock(theirs)) for _ in range(count)]
    seconds, reference_seconds = [a for a, _ in pairs], [b for _, b in pairs]
    value = statistics.median(reference_seconds) / statistics.median(seconds)
    return Row(name, reference, f"{value:.2f}x", f">= {at_least:g}x", value >= at_least, seconds, reference_seconds)
