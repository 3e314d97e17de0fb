from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from vaa.tiny import corpus, packing, prompts, vlm
from vaa.tiny import tokenizer as tiny_tokenizer
from vaa.tiny.batches import BatchMaker


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return tiny_tokenizer.build()


@pytest.fixture(scope="module")
def model(tokenizer: object) -> object:
    torch.manual_seed(0)
    return vlm.build(tokenizer).eval()


def test_a_packed_row_has_the_loss_of_its_prompts_one_by_one(tokenizer: object, model: object) -> None:
    batches = BatchMaker(tokenizer, prompts.load_prompts())
    rng, draw = np.random.default_rng(3), random.Random(3)
    sample = corpus.draw_clip(rng, (8, 2.9))
    branches = batches._branches(sample, ["verdict", "describe", "tags"], draw)
    with torch.no_grad():
        heads = vlm.Heads()
        visual = vlm.visual_tokens(model, sample.pictures)
        packed = vlm.losses(model, heads, packing.pack([branches]), visual, ())[0]
        single = [vlm.losses(model, heads, packing.pack([[branch]]), visual, ())[0] for branch in branches]
        assert float(packed) == pytest.approx(float(torch.stack(single).mean()), rel=1e-4)
        prompt, answer = branches[0]
        inputs = {"input_ids": torch.tensor([[*prompt, *answer]]), "pixel_values": vlm.pixels(sample.pictures)}
        log_probabilities = model(**inputs).logits.log_softmax(-1)[0, len(prompt) - 1 : -1]
        expected = -log_probabilities.gather(-1, torch.tensor(answer)[:, None]).sum()
    assert float(single[0]) == pytest.approx(float(expected), rel=1e-4)


def test_rows_of_different_lengths_have_a_finite_loss(tokenizer: object, model: object) -> None:
    batches = BatchMaker(tokenizer, prompts.load_prompts())
    batch = batches.texts(np.random.default_rng(1), random.Random(1), 5).tokens
    with torch.no_grad():
        loss = vlm.losses(model, vlm.Heads(), batch, None, ())[0]
    assert torch.isfinite(loss)


def test_training_inputs_are_those_of_the_image_processor() -> None:
    pictures = corpus.draw_stills(np.random.default_rng(0), 1)[0].pictures
    large = pictures[0].pixels.repeat(2, axis=0).repeat(2, axis=1)
    processed = vlm.processor()(images=[large], crop_to_patches=False, return_tensors="pt")["pixel_values"]
    assert processed.shape == (1, 3, 64, 64)
    assert float((processed - vlm.pixels(pictures)).abs().mean()) < 0.12
