from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_checkpoints import make

from vaa.models.transformers.kv_cache import KeysReadyError, PreallocatedCache, cache_argument, keys_only_cache


def load_model(name: str, folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(make(name, folder), dtype=torch.float32).eval()


@pytest.mark.parametrize("name", ["llama3_1", "qwen3"])
def test_prompts_prefilled_one_by_one_give_the_same_text_and_tokens_do_not_copy_the_cache(
    name: str, tmp_path: Path
) -> None:
    import torch

    model = load_model(name, tmp_path)
    prompts = torch.tensor([[5, 6, 7, 8, 9], [0, 0, 20, 21, 22]])
    options = {"do_sample": False, "max_new_tokens": 150, "min_new_tokens": 150, "pad_token_id": 0}
    arguments = {"input_ids": prompts, "attention_mask": (prompts > 0).long(), **options}
    batch = PreallocatedCache.create(model, rows=2, tokens=4)
    assert batch is not None
    for row in (1, 0):
        part = keys_only_cache(model)
        with torch.inference_mode(), pytest.raises(KeysReadyError):
            model(prompts[row : row + 1][prompts[row : row + 1] > 0][None, :-1], **cache_argument(model, part))
        batch.insert([row], part)
    addresses: list[int] = []
    layer = batch.cache.layers[0]

    def record(ids: torch.Tensor, _scores: torch.Tensor, **_: object) -> torch.Tensor:
        addresses.append(layer.keys.data_ptr())
        return torch.zeros(len(ids), dtype=torch.bool)

    with torch.inference_mode():
        ids = model.generate(**arguments, **cache_argument(model, batch.cache), stopping_criteria=[record])
    assert ids.tolist() == model.generate(**arguments).tolist()
    assert layer.get_seq_length() == 5 + 149
    assert len(set(addresses)) == 3  # for 4 + 64 tokens, then 69 + 64, then more
    assert addresses[0] == addresses[63] != addresses[64]


def test_the_last_layer_computes_keys_and_values_only(tmp_path: Path) -> None:
    import torch

    model, done = load_model("llama3_1", tmp_path), list[int]()
    for k, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, k=k: done.append(k))
    ids, cache = torch.tensor([[5, 6, 7, 8]]), keys_only_cache(model)
    with torch.inference_mode(), pytest.raises(KeysReadyError):
        model(ids[:, :3], **cache_argument(model, cache))
    last = len(model.model.layers) - 1
    assert done == list(range(last))
    with torch.inference_mode():
        logits = model(ids[:, 3:], **cache_argument(model, cache)).logits[0, -1]
        expected = model(ids).logits[0, -1]
    torch.testing.assert_close(logits, expected)


def test_a_model_with_a_sliding_window_uses_its_own_cache() -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    small = {"num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 8, "intermediate_size": 8}
    model = MistralForCausalLM(MistralConfig(num_hidden_layers=1, vocab_size=16, sliding_window=4, **small)).eval()
    assert PreallocatedCache.create(model, 1, 5) is None
    with torch.inference_mode():
        assert model(torch.tensor([[3, 4]]), **cache_argument(model, keys_only_cache(model))).logits.shape == (1, 2, 16)


class Older:
    """A model up to transformers 5.23."""

    def forward(self, input_ids: object, past_key_values: object = None) -> None: ...


class Newer:
    """A model from transformers 5.24 on."""

    def forward(self, input_ids: object, cache: object = None) -> None: ...


def test_the_cache_argument_has_the_models_own_name() -> None:
    assert cache_argument(Older(), 1) == {"past_key_values": 1}
    assert cache_argument(Newer(), 1) == {"cache": 1}
