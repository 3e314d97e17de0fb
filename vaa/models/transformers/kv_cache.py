"""What a model keeps of the tokens it has read, with room for more: a token does not cost a copy of them all."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

_ROOM = 64
"""Tokens there is room for beyond those that are kept; then they are copied once."""


def empty(model: Any) -> Any:
    """The cache of a model that has read nothing."""
    from transformers.cache_utils import DynamicCache

    return DynamicCache(config=model.config.get_text_config(decoder=True))


def named(model: Any, kept: Any) -> dict[str, Any]:
    """A cache as an argument, under the name that the model has for it: `cache` since transformers 5.24."""
    name = "cache" if "cache" in inspect.signature(type(model).forward).parameters else "past_key_values"
    return {name: kept}


class KeysReadyError(Exception):
    """All is kept that was to be: no more has to be computed."""


def keys_only(model: Any) -> Any:
    """An empty cache that raises EnoughError once each layer has the keys and values of the first tokens it is given.

    What the last layer would make of them is of no use to the tokens that follow. It never raises for a model that
    keeps other things.
    """
    found = empty(model)
    if _plain(found):
        found.layers[-1] = _last()()
    return found


@dataclass(frozen=True, eq=False)
class PreallocatedCache:
    """The cache of a batch of prompts that are read a few at a time."""

    cache: Any

    @classmethod
    def of(cls, model: Any, rows: int, tokens: int) -> PreallocatedCache | None:
        """For so many prompts, the longest of so many tokens; None if the model keeps other than keys and values."""
        if model.generation_config.cache_implementation is not None or not model._supports_default_dynamic_cache():
            return None
        found = empty(model)
        if not tokens or not _plain(found):
            return None
        found.layers = [_roomy()(rows, tokens) for _ in found.layers]
        return cls(found)

    def lay(self, rows: Sequence[int], part: Any) -> None:
        """Take over the cache of these rows, whose last token is the last of theirs."""
        for layer, read in zip(self.cache.layers, part.layers, strict=True):
            layer.lay(rows, read.keys, read.values)
            read.keys = read.values = None  # not both at once


def _plain(found: Any) -> bool:
    from transformers.cache_utils import DynamicLayer

    return bool(found.layers) and all(type(layer) is DynamicLayer for layer in found.layers)


@cache
def _last() -> Any:
    from transformers.cache_utils import DynamicLayer

    class KeysOnlyLayer(DynamicLayer):  # type: ignore[misc]
        """As a DynamicLayer, but it says so when it has the first keys."""

        def update(self, *given: Any, **more: Any) -> Any:
            """Keep keys and values, and give all."""
            first, found = not self.is_initialized, super().update(*given, **more)
            if first:
                raise KeysReadyError
            return found

    return KeysOnlyLayer


@cache
def _roomy() -> Any:
    from transformers.cache_utils import DynamicLayer

    class PreallocatedLayer(DynamicLayer):  # type: ignore[misc]
        """As a DynamicLayer, which joins all keys anew for each token."""

        def __init__(self, rows: int, tokens: int) -> None:
            super().__init__()
            self.rows, self.tokens = rows, tokens
            self.whole: tuple[Any, ...] = ()

        def lay(self, rows: Sequence[int], keys: Any, values: Any) -> None:
            """Put the keys and values of shape (rows, heads, tokens, d) of these rows at the end of the prompts."""
            import torch

            if not self.is_initialized:
                self.lazy_initialization(keys, values)
                # zeros: nothing looks at what lies before a shorter prompt, but it is multiplied by nothing
                self.whole = tuple(_larger(x.new_zeros, x, self.rows, self.tokens) for x in (keys, values))
                self.keys, self.values = (whole[:, :, : self.tokens] for whole in self.whole)
            places = torch.tensor(rows, device=keys.device)
            for whole, read in ((self.keys, keys), (self.values, values)):
                whole[:, :, self.tokens - read.shape[-2] :].index_copy_(0, places, read)

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            """Keep the keys and values of shape (batch, heads, tokens, d) behind the others, and give all."""
            held, new = self.get_seq_length(), (key_states, value_states)
            self.whole = tuple(_behind(whole, held, more) for whole, more in zip(self.whole, new, strict=True))
            self.keys, self.values = (whole[:, :, : held + key_states.shape[-2]] for whole in self.whole)
            return self.keys, self.values

    return PreallocatedLayer


def _behind(whole: Any, held: int, more: Any) -> Any:
    """`whole` with `more` behind the first `held` tokens: itself, or a larger one where it has no room."""
    tokens = held + more.shape[-2]
    if whole.shape[-2] < tokens:
        larger = _larger(more.new_empty, more, more.shape[0], tokens)
        larger[:, :, :held] = whole[:, :, :held]
        whole = larger
    whole[:, :, held:tokens] = more
    return whole


def _larger(make: Any, like: Any, rows: int, tokens: int) -> Any:
    return make(rows, like.shape[1], tokens + _ROOM, like.shape[3])
