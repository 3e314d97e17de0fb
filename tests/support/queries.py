"""Queries for tests."""

from __future__ import annotations

from collections.abc import Sequence

from vaa.types import ChooseQuery, GenerateQuery


def choose_query(query: GenerateQuery, choices: Sequence[str], at: int | None = None) -> ChooseQuery:
    """The same query, answered by the probabilities of these choices."""
    return ChooseQuery(
        purpose=query.purpose,
        video=query.video,
        at=query.at if at is None else at,
        frames=query.frames,
        text=query.text,
        system=query.system,
        choices=tuple(choices),
    )


def generate_query(query: ChooseQuery, max_new_tokens: int) -> GenerateQuery:
    """The same query, answered by text."""
    return GenerateQuery(
        purpose=query.purpose,
        video=query.video,
        at=query.at,
        frames=query.frames,
        text=query.text,
        system=query.system,
        max_new_tokens=max_new_tokens,
    )
