from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaa import parse
from vaa.data.synthetic import Synthetic
from vaa.models.clip import Clip
from vaa.models.transformers_vlm import TransformersVLM
from vaa.tiny import prompts, tokenizer
from vaa.types import Catalogue, Question, Response, Segment

VLM = prompts.CHECKPOINTS / "vlm"
CLIP = prompts.CHECKPOINTS / "clip"


@pytest.fixture(scope="module")
def vlm() -> TransformersVLM:
    return TransformersVLM(
        str(VLM), None, "float32", "none", "cpu", "sdpa", None, False, 0.0, 1.0, 0, 16, "pyav", 0, "pil"
    )


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip(str(CLIP), None, "float32", "cpu", [0.45] * 3, [0.25] * 3, "bicubic", 64, "pyav", 1, 0, "pil")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Synthetic(str(tmp_path_factory.mktemp("synthetic")), "val", 5, 20.0, 10.0, 128).load()


def asked(catalogue: Catalogue, name: str, count: int = 8, **fields: str) -> list[Question]:
    """The prompt put to the middle of the anomaly, or of the video, of every video."""
    prompt, questions = prompts.prompts()[name], []
    for video in catalogue.videos:
        spans = catalogue.truths[video.id].spans
        middle = (spans[0].start + spans[0].end) // 2 if spans else video.n_frames // 2
        frames = tuple(int(f) for f in np.linspace(middle - 12, middle + 12, count)) if count > 1 else (middle,)
        questions.append(prompt.question(video, Segment(frames[0], frames[-1] + 1, frames, middle), **fields))
    return questions


def test_no_prompt_has_changed_since_the_tiny_vlm_was_trained() -> None:
    taught = json.loads((VLM / "prompts.json").read_text())
    changed = [name for name, mark in prompts.fingerprints().items() if taught.get(name) != mark]
    assert not changed, f"conf/prompt: {', '.join(changed)} changed: run `python -m vaa.tiny.train` again"


def test_the_checkpoints_are_small() -> None:
    files = [file for file in prompts.CHECKPOINTS.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"model.safetensors", "tokenizer.json", "preprocessor_config.json"}
    assert sum(file.stat().st_size for file in files) < 10e6


@pytest.mark.parametrize(
    ("name", "reader", "fields"),
    [
        ("verdict", parse.Verdict(), {}),
        ("score", parse.Rating(), {}),
        ("threshold", parse.YesNo(), {"threshold": "0.5"}),
        ("guided", parse.Rating(), {}),
        ("guided_xd", parse.Rating(), {}),
    ],
)
def test_its_judgements_can_be_read_and_are_mostly_right(
    vlm: TransformersVLM, catalogue: Catalogue, name: str, reader: Callable[[str], Response], fields: dict[str, str]
) -> None:
    scores = [reader(str(text)).score for text in vlm.answer(asked(catalogue, name, **fields))]
    assert not any(math.isnan(score) for score in scores)
    wrong = [(s > 0.5) != bool(catalogue.truths[v.id].spans) for s, v in zip(scores, catalogue.videos, strict=True)]
    assert sum(wrong) <= 1


def test_it_describes_tags_and_explains(vlm: TransformersVLM, catalogue: Catalogue) -> None:
    for name, fields, ending in (("describe", {}, "."), ("tags", {}, "]"), ("understand", {"tags": "none"}, ".")):
        for text in vlm.answer(asked(catalogue, name, **fields)):
            assert str(text).strip().endswith(ending)


def test_it_captions_a_frame_and_sums_up_captions(vlm: TransformersVLM, catalogue: Catalogue) -> None:
    sentences = set(tokenizer.answers())
    said = [str(text) for text in vlm.answer(asked(catalogue, "frame", count=1))]
    assert set(said) <= sentences
    captions = ["A person walks in the street by day."] * 4 + ["A fire burns in the street by day."] * 6
    (summed,) = vlm.answer([replace(asked(catalogue, "summarise", captions="\n".join(captions))[0], frames=())])
    assert summed == "A fire burns in the street by day."


def test_its_boxes_are_json(vlm: TransformersVLM, catalogue: Catalogue) -> None:
    for name, fields in (("box_any", {}), ("box", {"tags": "fight"})):
        for text in vlm.answer(asked(catalogue, name, count=1, **fields)):
            assert isinstance(json.loads(str(text)), list)


def test_it_rates_a_caption_without_seeing_anything(vlm: TransformersVLM, catalogue: Catalogue) -> None:
    nothing = Segment(0, 1, (), 0)
    prompt = prompts.prompts()["rate"]
    said = ("Two people fight in the street at night.", "A person walks a dog in the courtyard by day.")
    questions = [prompt.question(catalogue.videos[0], nothing, caption=caption) for caption in said]
    bad, good = (parse.Rating()(str(text)).score for text in vlm.answer(questions))
    assert bad > 0.5 > good


def test_the_tiny_clip_puts_a_picture_near_its_sentence(clip: Clip, catalogue: Catalogue) -> None:
    questions = asked(catalogue, "describe")
    seen = list(clip.answer(questions))
    sentences = ("A fire burns in the street by day.", "A person waits in the corridor at night.")
    texts = list(clip.answer([Question("embed", catalogue.videos[0], 0, (), text) for text in sentences]))
    assert {vector.shape for vector in (*seen, *texts)} == {(64,)}
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-5) for vector in texts)
    assert all(0.5 < np.linalg.norm(vector) <= 1 + 1e-5 for vector in seen)


def test_there_is_a_card() -> None:
    assert (Path(__file__).parents[2] / "docs" / "tiny.md").is_file()
