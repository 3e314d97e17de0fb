from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_checkpoints import make

from vaa.models.transformers.kv_cache import KeysReadyError, PreallocatedCache, keys_only, named


def model(name: str, folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(make(name, folder), dtype=torch.float32).eval()


@pytest.mark.parametrize("name", ["llama3_1", "qwen3"])
def test_the_same_is_said_behind_prompts_read_singly_and_nothing_is_copied_for_a_token(
    name: str, tmp_path: Path
) -> None:
    import torch

    own = model(name, tmp_path)
    asked = torch.tensor([[5, 6, 7, 8, 9], [0, 0, 20, 21, 22]])
    options = {"do_sample": False, "max_new_tokens": 150, "min_new_tokens": 150, "pad_token_id": 0}
    given = {"input_ids": asked, "attention_mask": (asked > 0).long(), **options}
    kept = PreallocatedCache.of(own, rows=2, tokens=4)
    assert kept is not None
    for row in (1, 0):
        part = keys_only(own)
        with torch.inference_mode(), pytest.raises(KeysReadyError):
            own(asked[row : row + 1][asked[row : row + 1] > 0][None, :-1], **named(own, part))
        kept.lay([row], part)
    places: list[int] = []
    layer = kept.cache.layers[0]

    def seen(ids: torch.Tensor, _scores: torch.Tensor, **_: object) -> torch.Tensor:
        places.append(layer.keys.data_ptr())
        return torch.zeros(len(ids), dtype=torch.bool)

    with torch.inference_mode():
        found = own.generate(**given, **named(own, kept.cache), stopping_criteria=[seen])
    assert found.tolist() == own.generate(**given).tolist()
    assert layer.get_seq_length() == 5 + 149
    assert len(set(places)) == 3  # for 4 + 64 tokens, then 69 + 64, then more
    assert places[0] == places[63] != places[64]


def test_what_the_last_layer_makes_of_what_is_only_kept_is_not_computed(tmp_path: Path) -> None:
    import torch

    own, done = model("llama3_1", tmp_path), list[int]()
    for k, layer in enumerate(own.model.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, k=k: done.append(k))
    ids, cache = torch.tensor([[5, 6, 7, 8]]), keys_only(own)
    with torch.inference_mode(), pytest.raises(KeysReadyError):
        own(ids[:, :3], **named(own, cache))
    last = len(own.model.layers) - 1
    assert done == list(range(last))
    with torch.inference_mode():
        found = own(ids[:, 3:], **named(own, cache)).logits[0, -1]
        expected = own(ids).logits[0, -1]
    torch.testing.assert_close(found, expected)


def test_a_model_that_keeps_only_the_last_tokens_keeps_them_its_own_way() -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    small = {"num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 8, "intermediate_size": 8}
    own = MistralForCausalLM(MistralConfig(num_hidden_layers=1, vocab_size=16, sliding_window=4, **small)).eval()
    assert PreallocatedCache.of(own, 1, 5) is None
    with torch.inference_mode():
        assert own(torch.tensor([[3, 4]]), **named(own, keys_only(own))).logits.shape == (1, 2, 16)


class Older:
    """As models were until transformers 5.23."""

    def forward(self, input_ids: object, past_key_values: object = None) -> None: ...


class Newer:
    """As they are from 5.24 on."""

    def forward(self, input_ids: object, cache: object = None) -> None: ...


def test_a_cache_goes_by_the_name_that_the_model_has_for_it() -> None:
    assert named(Older(), 1) == {"past_key_values": 1}
    assert named(Newer(), 1) == {"cache": 1}
