from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from vaa.tiny import corpus, lessons, prompts, rows, tokenizer, vlm


@pytest.fixture(scope="module")
def words() -> object:
    return tokenizer.build()


@pytest.fixture(scope="module")
def model(words: object) -> object:
    torch.manual_seed(0)
    return vlm.build(words).eval()


def test_a_packed_row_is_learned_as_its_questions_are_asked_singly(words: object, model: object) -> None:
    teacher = lessons.Teacher(words, prompts.prompts())
    rng, draw = np.random.default_rng(3), random.Random(3)
    moment = corpus.moment(rng, (8, 2.9))
    branches = teacher._about(moment, ["verdict", "describe", "tags"], draw)
    with torch.no_grad():
        heads = vlm.Heads()
        seen = vlm.see(model, moment.pictures)
        together = vlm.losses(model, heads, rows.pack([branches]), seen, ())[0]
        singly = [vlm.losses(model, heads, rows.pack([[branch]]), seen, ())[0] for branch in branches]
        assert float(together) == pytest.approx(float(torch.stack(singly).mean()), rel=1e-4)
        asked, said = branches[0]
        whole = model(
            input_ids=torch.tensor([[*asked, *said]]), pixel_values=vlm.pixels(moment.pictures)
        ).logits.log_softmax(-1)
        told = whole[0, len(asked) - 1 : -1].gather(-1, torch.tensor(said)[:, None]).sum()
    assert float(singly[0]) == pytest.approx(-float(told), rel=1e-4)


def test_rows_of_unequal_length_do_not_disturb_each_other(words: object, model: object) -> None:
    teacher = lessons.Teacher(words, prompts.prompts())
    batch = teacher.texts(np.random.default_rng(1), random.Random(1), 5).batch
    with torch.no_grad():
        loss = vlm.losses(model, vlm.Heads(), batch, None, ())[0]
    assert torch.isfinite(loss)


def test_training_shows_frames_as_the_shipped_processor_does() -> None:
    shown = corpus.stills(np.random.default_rng(0), 1)[0].pictures
    large = shown[0].pixels.repeat(2, axis=0).repeat(2, axis=1)
    there = vlm.processor()(images=[large], crop_to_patches=False, return_tensors="pt")["pixel_values"]
    assert there.shape == (1, 3, 64, 64)
    assert float((there - vlm.pixels(shown)).abs().mean()) < 0.12
