"""Prompts about the same frames packed in one row: a common prefix, then branches that do not attend to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vaa.models.transformers.families import internvl_frame_text
from vaa.models.transformers.loaded_model import chat_text
from vaa.types import GenerateQuery

IGNORED = -100


Branch = tuple[list[int], list[int]]
"""The token ids of a prompt and of its answer."""


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Rows of token ids, their positions and the next token to predict or IGNORED, each of shape (n, length).

    `mask` (n, 1, length, length) is True where a token attends to another.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    mask: torch.Tensor


def encode(tokenizer: Any, query: GenerateQuery, answer: str, image_tokens: int) -> Branch:
    """The ids of a query in the chat template, and of its answer with the end token."""
    text = chat_text(tokenizer, query, [internvl_frame_text(tokenizer, None, image_tokens)] * len(query.frames))
    prompt_ids = tokenizer(text, add_special_tokens=False).input_ids
    answer_ids = tokenizer(answer, add_special_tokens=False).input_ids
    return prompt_ids, [*answer_ids, tokenizer.eos_token_id]


def pack(rows: Sequence[Sequence[Branch]]) -> TokenBatch:
    """Rows of branches as one batch; the prefix that all branches of a row have in common occurs once."""
    packed = [_pack_row(row) for row in rows]
    length = max(len(row.ids) for row in packed)
    shape = (len(packed), length)
    ids, positions, branches = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    targets = torch.full(shape, IGNORED)
    branches -= 1  # padding belongs to no branch
    for index, row in enumerate(packed):
        pairs = ((ids, row.ids), (positions, row.positions), (branches, row.branches), (targets, row.targets))
        for tensor, values in pairs:
            tensor[index, : len(values)] = torch.tensor(values)
    own, other = branches[:, :, None], branches[:, None, :]
    mask = ((other == 0) | (other == own)) & torch.ones(length, length, dtype=torch.bool).tril()
    return TokenBatch(ids, positions, targets, mask[:, None])


@dataclass(frozen=True)
class _PackedRow:
    """One value for each token; `branches` is 0 in the common prefix, then the number of the branch from 1."""

    ids: list[int]
    positions: list[int]
    branches: list[int]
    targets: list[int]


def _pack_row(branches: Sequence[Branch]) -> _PackedRow:
    first, shared = branches[0][0], 0
    if len(branches) > 1:
        while all(shared < len(prompt) - 1 and prompt[shared] == first[shared] for prompt, _ in branches):
            shared += 1
    row = _PackedRow(list(first[:shared]), list(range(shared)), [0] * shared, [IGNORED] * shared)
    for number, (prompt, answer) in enumerate(branches, start=1):
        ids = [*prompt[shared:], *answer[:-1]]
        row.ids.extend(ids)
        row.positions.extend(range(shared, shared + len(ids)))
        row.branches.extend([number] * len(ids))
        row.targets.extend([IGNORED] * (len(prompt) - shared - 1) + answer)
    return row
