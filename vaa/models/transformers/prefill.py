"""Prompts read into what a model keeps of their tokens: a few at a time, those of about the same length together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vaa.models.transformers.kv_cache import KeysReadyError, PreallocatedCache, empty, keys_only, named
from vaa.models.transformers.loaded import LoadedModel
from vaa.models.transformers.vision_features import VisionFeatures

Ids = list[int]
_AT_ONCE = {"cpu": 4096, "cuda": 16384}
"""Tokens that are read at once: on a CPU what its cache holds, on a GPU what keeps it busy."""


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt, or its beginning, as tokens, and the frames it is about (their places among those looked at)."""

    ids: Ids
    frames: Sequence[int]


def portions(lengths: Sequence[int], device: Any) -> list[list[int]]:
    """Which of so many prompts of these lengths to read together: about equally many, similarly long ones."""
    most = _AT_ONCE.get(device.type, sum(lengths))
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    size = math.ceil(len(order) / max(1, math.ceil(sum(lengths) / max(1, most))))
    return [order[first : first + size] for first in range(0, len(order), size)]


def ahead(held: LoadedModel, prompts: Sequence[TokenizedPrompt], looked: VisionFeatures | None) -> Any:
    """What the model keeps of all but the last token of prompts, as `generate` takes it for a left-padded batch.

    None for a model that keeps other things than keys and values.
    """
    import torch

    kept = PreallocatedCache.of(held.model, len(prompts), max(len(prompt.ids) for prompt in prompts) - 1)
    if kept is None:
        return None
    begun = [TokenizedPrompt(prompt.ids[:-1], prompt.frames) for prompt in prompts]
    turns = torch.zeros(len(begun), 1, dtype=torch.long, device=held.model.device)
    for rows in portions([len(prompt.ids) for prompt in begun], held.model.device):
        part = read(held, [begun[row] for row in rows], looked)
        kept.lay(rows, part)
        turned = moved(held)
        if turned is not None:
            turns[rows] = turned.to(turns.device)
    move(held, turns)
    return kept.cache


def read(held: LoadedModel, prompts: Sequence[TokenizedPrompt], looked: VisionFeatures | None) -> Any:
    """The cache of keys and values of prompts, in one forward pass; shorter ones are padded on the left."""
    import torch

    longest = max(len(prompt.ids) for prompt in prompts)
    move(held, None)
    if not longest:
        return empty(held.model)
    padded = [[held.tokenizer.pad_token_id] * (longest - len(prompt.ids)) + prompt.ids for prompt in prompts]
    ids = torch.tensor(padded, device=held.model.device)
    visual = looked.of([frame for prompt in prompts for frame in prompt.frames]) if looked else {}
    given = {**visual, **(held.typed(ids) if visual else {})}
    if any(len(prompt.ids) < longest for prompt in prompts):
        mask = torch.tensor([[0] * (longest - len(p.ids)) + [1] * len(p.ids) for p in prompts], device=ids.device)
        given["attention_mask"] = mask
        if "mm_token_type_ids" not in given:  # else the model finds them, by the mask
            given["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
    found = keys_only(held.model)
    with suppress(KeysReadyError):
        held.model.model(input_ids=ids, use_cache=True, **named(held.model.model, found), **given)
    return found


def moved(held: LoadedModel) -> Any:
    """How far frames moved the positions of what follows them, (prompts, 1), where the model remembers it (Qwen)."""
    return getattr(held.model.model, "rope_deltas", None)


def move(held: LoadedModel, turns: Any) -> None:
    """Have the model remember that, or forget what it remembers of others' frames."""
    if hasattr(held.model.model, "rope_deltas"):
        held.model.model.rope_deltas = turns
