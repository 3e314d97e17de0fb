"""How queries are split into chunks, and which chunks are sent again after a worker is lost (without Ray)."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaa.engines.pool import Chunk, split
from vaa.types import GenerateQuery, Query, Video


def make_queries(*counts: int) -> list[Query]:
    """This many queries for each of several videos."""
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
        ((3, 4, 1), 4, [3, 4, 1]),  # a video that ends in the second half ends the chunk
        ((1, 7), 4, [4, 4]),  # one that ends in the first half does not
        ((1, 1, 1, 1, 1), 4, [4, 1]),  # short videos share a chunk
        ((2,), 1, [1, 1]),
        ((), 4, []),
    ],
)
def test_chunks_end_with_a_video_if_one_ends_in_their_second_half(
    counts: tuple[int, ...], size: int, expected: list[int]
) -> None:
    queries = make_queries(*counts)
    chunks = list(split(queries, size))
    assert [len(chunk.queries) for chunk in chunks] == expected
    assert [q for chunk in chunks for q in chunk.queries] == queries
    assert [chunk.start for chunk in chunks] == [sum(expected[:k]) for k in range(len(expected))]


def simulate(chunk: Chunk, attempts: int, deadly: set[int]) -> tuple[set[int], set[int], int]:
    """Answer chunks until none is left; each query in `deadly` ends its worker: (answered, given up, workers lost)."""
    pending, answered, given_up, lost = [chunk], set(), set(), 0
    while pending:
        chunk = pending.pop()
        numbers = set(range(chunk.start, chunk.start + len(chunk.queries)))
        if not numbers & deadly:
            answered |= numbers
            continue
        lost += 1
        chunks = chunk.retry(attempts)
        given_up |= set() if chunks else numbers
        pending.extend(chunks)
    return answered, given_up, lost


@pytest.mark.parametrize("attempts", [1, 2, 3])
@pytest.mark.parametrize("deadly", [set(), {5}, {8, 9, 17}])
def test_only_the_queries_that_end_every_worker_are_given_up(attempts: int, deadly: set[int]) -> None:
    answered, given_up, lost = simulate(Chunk(start=5, queries=tuple(make_queries(13))), attempts, deadly)
    assert given_up == deadly
    assert answered == set(range(5, 18)) - deadly
    if len(deadly) == 1:
        assert lost == attempts + 3 + attempts  # chunks of 13, 7, 4, 2 and 1; halves are tried once


def test_a_chunk_is_retried_whole_before_it_is_halved() -> None:
    chunk = Chunk(start=0, queries=tuple(make_queries(4)))
    (retried,) = chunk.retry(2)
    assert retried.queries == chunk.queries
    assert [len(part.queries) for part in retried.retry(2)] == [2, 2]
