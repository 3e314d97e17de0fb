from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from vaa.synthetic.canvas import Label
from vaa.tiny import corpus, paraphrases, prompts, tokenizer, train

STEPS = ("--look-steps", "1", "--balance-steps", "1", "--steps", "1", "--clip-steps", "1")


@pytest.mark.slow
def test_training_writes_two_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "--out", str(tmp_path), *STEPS])
    train.main()
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert written >= {
        "vlm/model.safetensors",
        "vlm/preprocessor_config.json",
        "vlm/prompts.json",
        "vlm/tokenizer.json",
    }
    assert written >= {"clip/model.safetensors", "clip/tokenizer.json"}
    assert json.loads((tmp_path / "vlm" / "prompts.json").read_text()) == prompts.fingerprints()


def test_a_patch_has_the_label_of_what_fills_it() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[0:8, 8:16] = Label.CAR
    labels[8:10, 0:2] = Label.DOG  # 4 pixels are too few
    labels[60:64, 56:64] = Label.FIRE
    found = corpus.patches(labels)
    assert {int(i): int(v) for i, v in enumerate(found) if v} == {1: Label.CAR, 63: Label.FIRE}


def test_a_moment_with_an_anomaly_says_so() -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        moment = corpus.moment(rng, (8, 2.9))
        assert moment.account.anomalous == any(p.box for p in moment.pictures)
        assert len(moment.pictures) == len(moment.events) == 8


@pytest.mark.parametrize("name", sorted(prompts.prompts()))
def test_every_prompt_has_other_wordings_with_its_placeholders(name: str) -> None:
    own = {
        part
        for part in ("$tags", "$threshold", "$prior")
        if part in prompts.prompts()[name].text + prompts.prompts()[name].system
    }
    for seed in range(5):
        other = paraphrases.reword(name, random.Random(seed))
        assert {part for part in ("$tags", "$threshold", "$prior") if part in other} == own


def test_answers_come_back_from_the_tokenizer_as_they_were() -> None:
    words = tokenizer.build()
    for text in (*tokenizer.answers(), '[{"bbox_2d": [0, 16, 984, 1000], "confidence": 0.9}]', "```\nNormal scenes.\n"):
        assert words.decode(words(text).input_ids) == text


def test_an_answer_begins_with_the_same_token_whatever_follows() -> None:
    words = tokenizer.build()
    for start, rest in (("YES", "."), ("Anomalous scenes", ".\nA fire burns."), ("[0", ".9]")):
        assert words(start).input_ids == words(start + rest).input_ids[: len(words(start).input_ids)]
