from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from vaa.synthetic.canvas import Label
from vaa.synthetic.events import ANOMALOUS, EVENT_CLASSES
from vaa.synthetic.script import ReferenceAnswer
from vaa.tiny import corpus, paraphrases, prompts, tokenizer, train
from vaa.tiny.definitions import CONCEPTS, anything, draw_definition

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
    patches = corpus.patches(labels)
    assert {int(i): int(v) for i, v in enumerate(patches) if v} == {1: Label.CAR, 63: Label.FIRE}


def test_the_account_of_a_clip_with_an_anomaly_is_anomalous() -> None:
    rng = np.random.default_rng(5)
    for _ in range(6):
        clip = corpus.draw_clip(rng, (8, 2.9))
        assert clip.reference.anomalous == any(picture.box for picture in clip.pictures)
        assert len(clip.pictures) == len(clip.events) == 8


PLACEHOLDERS = ("$tags", "$threshold", "$prior", "$definition", "$exceptions")


@pytest.mark.parametrize("name", sorted(prompts.load_prompts().keys() - corpus.GUIDING_QUESTIONS.keys()))
def test_paraphrases_have_the_placeholders_of_their_prompt(name: str) -> None:
    expected = {
        part for part in PLACEHOLDERS if part in prompts.load_prompts()[name].text + prompts.load_prompts()[name].system
    }
    for seed in range(5):
        text = paraphrases.draw_paraphrase(name, random.Random(seed))
        assert {part for part in PLACEHOLDERS if part in text} == expected


def test_a_definition_is_seen_where_its_class_is_visible_and_no_exception_takes_it_out() -> None:
    draw, classes = random.Random(3), [*EVENT_CLASSES]
    n_seen = 0
    for _ in range(600):
        visible = {name: draw.randint(1, 8) for name in draw.sample(classes, draw.choice((1, 2)))}
        definition, seen = draw_definition(visible, draw)
        n_seen += seen
        excluded = {name for c in CONCEPTS for name in c.classes if set(c.wordings) & set(definition.exceptions)}
        if definition.wording == anything():
            shown = [name for name in ANOMALOUS if visible.get(name) and name not in excluded]
        else:
            (concept,) = [c for c in CONCEPTS if definition.wording in c.wordings] or [None]
            shown = [name for name in concept.classes if visible.get(name)] if concept else []
        assert seen == bool(shown)
    assert 200 < n_seen < 400


def test_the_question_without_a_definition_is_that_for_any_anomaly() -> None:
    plain, defined = prompts.load_prompts()["watch"].text, prompts.load_prompts()["watch_for"].text
    assert defined.replace("$definition", anything()).replace("$exceptions", "") == plain


def test_the_guiding_questions_are_answered_in_words_and_then_by_a_number() -> None:
    fire = ReferenceAnswer(event_class=EVENT_CLASSES["fire"], place="street", night=False)
    calm = ReferenceAnswer(event_class=EVENT_CLASSES["walk"], place="street", night=False)
    assert corpus.answer("guided", fire, {}) == "1. No.\n2. No.\n3. No.\n4. Yes, a fire burns.\n5. No.\n[1]"
    assert corpus.answer("guided_xd", calm, {}).endswith("5. No.\n[0]")


def test_the_tokenizer_decodes_answers_exactly() -> None:
    tiny = tokenizer.build()
    for text in (*tokenizer.answers(), '[{"bbox_2d": [0, 16, 984, 1000], "confidence": 0.9}]', "```\nNormal scenes.\n"):
        assert tiny.decode(tiny(text).input_ids) == text


def test_an_answer_starts_with_the_same_tokens_whatever_follows() -> None:
    tiny = tokenizer.build()
    for start, rest in (("YES", "."), ("Anomalous scenes", ".\nA fire burns."), ("[0", ".9]")):
        assert tiny(start).input_ids == tiny(start + rest).input_ids[: len(tiny(start).input_ids)]
