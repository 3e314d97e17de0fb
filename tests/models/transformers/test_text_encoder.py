"""Vectors of texts by a small BERT of random weights; MiniLM's own are in tests/models/test_real_weights.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import make_tokenizer

from vaa.errors import ConfigError, ModelError
from vaa.models.transformers.text_encoder import TextEncoder
from vaa.types import EmbedQuery, Video

TEXTS = ["what happens here", "", "a fire", "what happens here what happens here", "a fire"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    folder, tokenizer = tmp_path_factory.mktemp("bert"), make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def encoder(checkpoint: Path, batch_size: int = 2, max_tokens: int = 64) -> TextEncoder:
    fields = {"checkpoint": str(checkpoint), "revision": None, "dtype": "float32", "device_map": "cpu"}
    return TextEncoder(**fields, batch_size=batch_size, max_tokens=max_tokens)


def queries(*texts: str) -> list[EmbedQuery]:
    return [EmbedQuery(video=Video("v", Path("none"), 10, 10.0), at=0, text=text) for text in texts]


def test_a_text_is_the_mean_over_its_tokens(folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    vectors = list(encoder(folder).embed(queries(*TEXTS)))
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(TEXTS, vectors, strict=True):
        if not text:
            assert not np.asarray(vector).any()
            continue
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        # Padding to the longest of a batch changes the order of sums.
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_long_text_is_cut(folder: Path) -> None:
    whole, cut = ("a fire " * 40, "a fire " * 20)
    (long,) = encoder(folder, max_tokens=8).embed(queries(whole))
    (short,) = encoder(folder, max_tokens=8).embed(queries(cut))
    np.testing.assert_allclose(long, short, atol=1e-5)
    assert encoder(folder, max_tokens=8).identity != encoder(folder).identity


def test_frames_are_refused_by_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"embeds texts only.*clip_vit_b16"):
        list(encoder(folder).embed([replace(queries("")[0], frames=(0,))]))


def test_another_architecture_is_refused(clip_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="is a clip; a text encoder is a BERT"):
        list(encoder(clip_checkpoint).embed(queries("a fire")))
