"""How long to wait before a server is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_LONGEST = 60.0  # seconds, where the server names no time


def pause(attempt: int, backoff: float, wished: float) -> float:
    """Seconds before the next attempt: doubled each time, less up to half of it by chance, never less than `wished`."""
    spread = random.uniform(0.5, 1.0)  # noqa: S311 - it keeps requests apart, it guards nothing
    return max(wished, min(backoff * 2.0 ** (attempt - 1), _LONGEST) * spread)


def wished(headers: Mapping[str, str]) -> float:
    """Seconds named by `Retry-After` (a number or a date) or `retry-after-ms`; 0 where there is none to be read."""
    if milliseconds := _number(headers.get("retry-after-ms", "")):
        return milliseconds / 1000
    named = headers.get("retry-after", "")
    if (seconds := _number(named)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(named).timestamp() - time.time())
    except ValueError:
        return 0.0


def _number(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
