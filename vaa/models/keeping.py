"""What a model keeps of the tokens it has read, with room for more: a token does not cost a copy of them all."""

from __future__ import annotations

from functools import cache
from typing import Any

_ROOM = 64
"""Tokens there is room for beyond those that are kept; then they are copied once."""


def kept(model: Any, asked: int) -> dict[str, Any]:
    """The argument of `generate` for an empty cache, with room for the `asked` tokens of a prompt to begin with.

    None for a model that keeps other things than keys and values.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if model.generation_config.cache_implementation is not None or not model._supports_default_dynamic_cache():
        return {}
    found = DynamicCache(config=model.config.get_text_config(decoder=True))
    if not found.layers or any(type(layer) is not DynamicLayer for layer in found.layers):
        return {}
    found.layers = [_layer()(asked) for _ in found.layers]
    return {"past_key_values": found}


@cache
def _layer() -> Any:
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):  # type: ignore[misc]
        """As a DynamicLayer, which joins all keys anew for each token."""

        def __init__(self, asked: int) -> None:
            super().__init__()
            self.asked = asked

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            """Keep the keys and values of shape (batch, heads, tokens, d) behind the others, and give all."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self.whole: tuple[Any, ...] = (None, None)
            held = self.get_seq_length()
            new = (key_states, value_states)
            self.whole = tuple(
                _behind(whole, held, more, self.asked) for whole, more in zip(self.whole, new, strict=True)
            )
            self.keys, self.values = (whole[:, :, : held + key_states.shape[-2]] for whole in self.whole)
            return self.keys, self.values

    return Roomy


def _behind(whole: Any, held: int, more: Any, asked: int) -> Any:
    """`whole` with `more` behind the first `held` tokens: itself, or a larger one where it has no room."""
    batch, heads, tokens, width = more.shape
    if whole is None or whole.shape[-2] < held + tokens:
        larger = more.new_empty(batch, heads, max(held + tokens, asked) + _ROOM, width)
        if held:
            larger[:, :, :held] = whole[:, :, :held]
        whole = larger
    whole[:, :, held : held + tokens] = more
    return whole
