"""Probabilities of single tokens after many prompts that begin alike: packed into rows, without copies of a cache.

Measured with SmolLM2-135M on a CPU, 515 shared tokens and 27 to 75 further ones per prompt: see docs/experiments.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import numpy as np

from vaa.models.transformers.kv_cache import Ids, cache_argument, empty_cache, has_plain_layers
from vaa.models.transformers.loaded_model import LoadedModel, Prefix
from vaa.types import Floats

_ROW_TOKENS = 512
"""The mask of a row has the square of this many entries, and as many again for each shared token."""


def can_pack(loaded: LoadedModel) -> bool:
    """Whether the model is an LLM on a CPU that takes a mask and positions of its own. Others were not measured."""
    accepted = inspect.signature(type(loaded.model).forward).parameters
    return (
        loaded.frame_processor is None
        and loaded.model.device.type == "cpu"
        and loaded.model.config._attn_implementation in ("sdpa", "eager")
        and {"logits_to_keep", "position_ids"} <= {*accepted}
        and has_plain_layers(empty_cache(loaded.model))
    )


def choose_packed(loaded: LoadedModel, prompts: Sequence[Ids], choices: Sequence[Ids]) -> list[Floats]:
    """The softmax of the scores of the `choices[k]`, token ids, after `prompts[k]`; one of shape (choices,) each.

    A mask lets each prompt of a row attend to the shared beginning and to itself. The cache of the beginning stays in
    `loaded.prefix` for the next call.
    """
    import torch

    model, prefix = loaded.model, _shared_prefix(loaded, prompts)
    loaded.prefix = Prefix([], None)  # an exception below would leave further tokens in the cache
    shared, results = len(prefix.ids), []
    for row in _rows([len(ids) - shared for ids in prompts]):
        lengths = torch.tensor([len(prompts[k]) - shared for k in row])
        owners = torch.repeat_interleave(torch.arange(len(row)), lengths)
        own = (owners[:, None] == owners).tril()
        allowed = torch.cat([torch.ones(len(own), shared, dtype=torch.bool), own], dim=1)
        mask = torch.zeros(allowed.shape, dtype=model.dtype).masked_fill(~allowed, torch.finfo(model.dtype).min)
        logits = model(
            input_ids=torch.tensor([[token for k in row for token in prompts[k][shared:]]]),
            position_ids=torch.cat([torch.arange(shared, shared + n) for n in lengths.tolist()])[None],
            attention_mask=mask[None, None],
            logits_to_keep=lengths.cumsum(0) - 1,
            use_cache=True,
            **cache_argument(model, prefix.cache),
        ).logits[0]
        prefix.cache.crop(-len(own))
        results += [np.asarray(logits[n, choices[k]].double().softmax(-1).numpy()) for n, k in enumerate(row)]
    loaded.prefix = prefix
    return results


def shared_length(prompts: Sequence[Ids]) -> int:
    """How many tokens all prompts begin with; each has at least one more."""
    length = min(len(ids) for ids in prompts) - 1
    first = prompts[0]
    return next((k for k in range(length) if any(ids[k] != first[k] for ids in prompts)), length)


def _shared_prefix(loaded: LoadedModel, prompts: Sequence[Ids]) -> Prefix:
    """The beginning that the prompts share: that of the last call, cut to it, unless most of it would be lost."""
    import torch

    ids = prompts[0][: shared_length(prompts)]
    last = loaded.prefix
    common = next(
        (k for k, (a, b) in enumerate(zip(ids, last.ids, strict=False)) if a != b), min(len(ids), len(last.ids))
    )
    if common > len(ids) // 2:
        if common < len(last.ids):
            last.cache.crop(common - len(last.ids))
        return Prefix(ids[:common], last.cache)
    cache = empty_cache(loaded.model)
    if ids:
        loaded.model.model(input_ids=torch.tensor([ids]), use_cache=True, **cache_argument(loaded.model.model, cache))
    return Prefix(ids, cache)


def _rows(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of prompts with these many tokens, in rows of at most `_ROW_TOKENS`, or of one prompt."""
    row: list[int] = []
    for k, length in enumerate(lengths):
        if row and sum(lengths[n] for n in row) + length > _ROW_TOKENS:
            yield row
            row = []
        row.append(k)
    yield row
