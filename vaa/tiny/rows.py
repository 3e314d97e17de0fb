"""Questions about the same frames packed in one row: a shared beginning, then branches that do not see each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vaa.models.transformers.families import mark_internvl
from vaa.models.transformers.loaded import write
from vaa.types import GenerateQuery

IGNORED = -100


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Rows of token ids (n, length), their positions, the next token to say or IGNORED, and who sees whom.

    `mask` (n, 1, length, length) is True where a token sees another.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    mask: torch.Tensor


def encode(tokenizer: Any, query: GenerateQuery, answer: str, image_tokens: int) -> tuple[list[int], list[int]]:
    """The ids of the chat as the model is asked it, and of the answer with its end."""
    text = write(tokenizer, query, [mark_internvl(tokenizer, None, image_tokens)] * len(query.frames))
    asked = tokenizer(text, add_special_tokens=False).input_ids
    said = tokenizer(answer, add_special_tokens=False).input_ids
    return asked, [*said, tokenizer.eos_token_id]


def pack(rows: Sequence[Sequence[tuple[list[int], list[int]]]]) -> TokenBatch:
    """Rows of branches (asked, said): what all of a row's questions begin with is written once."""
    packed = [_row(row) for row in rows]
    length = max(len(ids) for ids, _, _, _ in packed)
    shape = (len(packed), length)
    ids, positions, branch = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    targets = torch.full(shape, IGNORED)
    branch -= 1
    for index, (row, places, owner, wanted) in enumerate(packed):
        for store, values in ((ids, row), (positions, places), (branch, owner), (targets, wanted)):
            store[index, : len(values)] = torch.tensor(values)
    mine, theirs = branch[:, :, None], branch[:, None, :]
    sees = ((theirs == 0) | (theirs == mine)) & torch.ones(length, length, dtype=torch.bool).tril()
    return TokenBatch(ids, positions, targets, sees[:, None])


def _row(branches: Sequence[tuple[list[int], list[int]]]) -> tuple[list[int], list[int], list[int], list[int]]:
    shared = 0
    if len(branches) > 1:
        while all(shared < len(asked) - 1 and asked[shared] == branches[0][0][shared] for asked, _ in branches):
            shared += 1
    ids, places = list(branches[0][0][:shared]), list(range(shared))
    owner, wanted = [0] * shared, [IGNORED] * shared
    for number, (asked, said) in enumerate(branches, start=1):
        own = [*asked[shared:], *said[:-1]]
        ids += own
        places += range(shared, shared + len(own))
        owner += [number] * len(own)
        wanted += [IGNORED] * (len(asked) - shared - 1) + said
    return ids, places, owner, wanted
