from __future__ import annotations

from pathlib import Path

import pytest
from tiny_checkpoints import make

from vaa.models.keeping import kept


@pytest.mark.parametrize("name", ["llama3_1", "qwen3"])
@pytest.mark.parametrize(("room", "copies"), [(5, 2), (90, 0)])  # for 5 + 64 tokens, then 134, then more; for 154
def test_the_same_is_said_and_nothing_is_copied_for_a_token(name: str, room: int, copies: int, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(make(name, tmp_path), dtype=torch.float32).eval()
    asked = torch.tensor([[5, 6, 7, 8, 9], [0, 0, 20, 21, 22]])
    options = {"do_sample": False, "max_new_tokens": 150, "min_new_tokens": 150, "pad_token_id": 0}
    given = {"input_ids": asked, "attention_mask": (asked > 0).long(), **options}
    held = kept(model, room)
    places: set[int] = set()
    layer = held["past_key_values"].layers[0]

    def seen(ids: torch.Tensor, _scores: torch.Tensor, **_: object) -> torch.Tensor:
        places.add(layer.keys.data_ptr())
        return torch.zeros(len(ids), dtype=torch.bool)

    found = model.generate(**given, **held, stopping_criteria=[seen])
    assert found.tolist() == model.generate(**given).tolist()
    assert layer.get_seq_length() == 5 + 149
    assert len(places) == copies + 1


def test_a_model_that_keeps_only_the_last_tokens_keeps_them_its_own_way() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    small = {"num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 8, "intermediate_size": 8}
    config = MistralConfig(num_hidden_layers=1, vocab_size=16, sliding_window=4, **small)
    assert kept(MistralForCausalLM(config), 5) == {}
