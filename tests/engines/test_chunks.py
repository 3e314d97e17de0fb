"""What is dealt together, and what becomes of it when workers are lost over it; no Ray in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaa.engines.chunks import Chunk, cut
from vaa.types import GenerateQuery, Query, Video


def asked(*counts: int) -> list[Query]:
    """So many questions about each of some videos."""
    videos = [Video(str(n), Path(f"{n}.mp4"), 100, 10.0) for n in range(len(counts))]
    return [
        GenerateQuery(purpose="ask", video=video, at=k, frames=(k,), text="?", max_new_tokens=8)
        for video, n in zip(videos, counts, strict=True)
        for k in range(n)
    ]


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ((10,), 4, [4, 4, 2]),
        ((4, 4), 4, [4, 4]),
        ((3, 4, 1), 4, [3, 4, 1]),  # a border in the last half is taken
        ((1, 7), 4, [4, 4]),  # one in the first half is not
        ((1, 1, 1, 1, 1), 4, [4, 1]),  # short videos share a chunk
        ((2,), 1, [1, 1]),
        ((), 4, []),
    ],
)
def test_neighbours_are_cut_between_videos_where_that_is_near(
    counts: tuple[int, ...], size: int, expected: list[int]
) -> None:
    queries = asked(*counts)
    chunks = list(cut(queries, size))
    assert [len(chunk.queries) for chunk in chunks] == expected
    assert [q for chunk in chunks for q in chunk.queries] == queries
    assert [chunk.start for chunk in chunks] == [sum(expected[:k]) for k in range(len(expected))]


def spent(chunk: Chunk, attempts: int, deadly: set[int]) -> tuple[set[int], set[int], int]:
    """Ask until nothing is left, where nobody survives the deadly ones: answered, given up, workers lost."""
    waiting, answered, given_up, lost = [chunk], set(), set(), 0
    while waiting:
        chunk = waiting.pop()
        numbers = set(range(chunk.start, chunk.start + len(chunk.queries)))
        if not numbers & deadly:
            answered |= numbers
            continue
        lost += 1
        again = chunk.again(attempts)
        given_up |= set() if again else numbers
        waiting.extend(again)
    return answered, given_up, lost


@pytest.mark.parametrize("attempts", [1, 2, 3])
@pytest.mark.parametrize("deadly", [set(), {5}, {8, 9, 17}])
def test_only_what_nobody_survives_is_given_up(attempts: int, deadly: set[int]) -> None:
    answered, given_up, lost = spent(Chunk(5, tuple(asked(13))), attempts, deadly)
    assert given_up == deadly
    assert answered == set(range(5, 18)) - deadly
    if len(deadly) == 1:
        assert lost == attempts + 3 + attempts  # 13, 7, 4, 2 and one: each half once, first and last as often as said


def test_a_chunk_is_asked_whole_again_before_it_is_halved() -> None:
    chunk = Chunk(0, tuple(asked(4)))
    (again,) = chunk.again(2)
    assert again.queries == chunk.queries
    assert [len(part.queries) for part in again.again(2)] == [2, 2]
