"""Several annotators of a video: one list of intervals from those of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vaa.choices import most_similar
from vaa.errors import DataError
from vaa.types import Span

RULES = ("majority", "any", "all")


def check_choice(choice: str, names: Sequence[str], where: str) -> None:
    """Check that `choice` is a rule or the name of an annotator.

    Raises:
        DataError: it is neither.
    """
    if choice not in RULES and choice not in names:
        similar = most_similar(choice, [*RULES, *names])
        raise DataError(
            f"data.annotators={choice}: choose {', '.join(RULES)} or an annotator of {where}: "
            f"{', '.join(names) or 'none, it has no column annotator'}."
            + (f" Did you mean '{similar}'?" if similar else "")
        )


def agreed(annotators: Mapping[str, Sequence[Span]], choice: str, n_frames: int) -> tuple[Span, ...]:
    """The intervals of a video that count.

    A frame is abnormal if more than half of the annotators mark it ("majority"), one of them ("any"), or "all" of them;
    or `choice` is the one whose intervals count. An interval has the class that most of its marked frames have.
    """
    if choice in annotators:
        return tuple(annotators[choice])
    votes = np.zeros(n_frames, dtype=np.int64)
    for spans in annotators.values():
        marked = np.zeros(n_frames, dtype=np.bool_)
        for span in spans:
            marked[span.start : span.stop] = True
        votes += marked
    needed = {"any": 1, "all": len(annotators), "majority": len(annotators) // 2 + 1}[choice]
    edges = np.flatnonzero(np.diff(votes >= max(1, needed), prepend=False, append=False)).tolist()
    every = [span for spans in annotators.values() for span in spans]
    return tuple(Span(a, b, _class(every, a, b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _class(spans: Sequence[Span], start: int, stop: int) -> str:
    frames: Counter[str] = Counter()
    for span in spans:
        frames[span.label] += max(0, min(span.stop, stop) - max(span.start, start))
    return frames.most_common(1)[0][0]
