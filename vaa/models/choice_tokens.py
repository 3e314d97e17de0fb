"""Choices as a trie of tokens: which log-probabilities are needed, and the probabilities that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vaa.types import Floats

Ids = tuple[int, ...]


def next_tokens(choices: Sequence[Sequence[int]]) -> dict[Ids, list[int]]:
    """Each beginning of a choice, the empty one first -> the tokens that follow it in a choice.

    One request for each, about the log-probabilities of its tokens, gives the likelihoods of all choices.
    """
    nodes: dict[Ids, dict[int, None]] = {}
    for choice in choices:
        for length, token in enumerate(choice):
            nodes.setdefault(tuple(choice[:length]), {})[token] = None
    return {beginning: list(nodes[beginning]) for beginning in sorted(nodes, key=len)}


def probabilities(choices: Sequence[Sequence[int]], logprobs: Mapping[Ids, Mapping[int, float]]) -> Floats:
    """The softmax over the log-likelihoods of the choices, shape (choices,).

    Args:
        choices: The tokens of each choice.
        logprobs: Beginning -> token -> its log-probability after the beginning.
    """
    scores = np.array([sum(logprobs[tuple(choice[:k])][token] for k, token in enumerate(choice)) for choice in choices])
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)
