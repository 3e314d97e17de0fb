from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cpu_models import cpu_encoder, cpu_vlm

from vaa.data.synthetic import SyntheticDataset
from vaa.models.transformers.encoder import ClipEncoder
from vaa.models.transformers.vlm import TransformersVLM
from vaa.prompts import parsers
from vaa.synthetic.events import ANOMALOUS
from vaa.tiny import prompts, tokenizer
from vaa.tiny.definitions import CONCEPTS
from vaa.types import ChooseQuery, Dataset, EmbedQuery, GenerateQuery, Response, Segment

VLM = prompts.CHECKPOINTS / "vlm"
CLIP = prompts.CHECKPOINTS / "clip"


@pytest.fixture(scope="module")
def vlm() -> TransformersVLM:
    return cpu_vlm(VLM, batch_size=16, decoder="pyav")


@pytest.fixture(scope="module")
def clip() -> ClipEncoder:
    return cpu_encoder(CLIP, mean=[0.45] * 3, std=[0.25] * 3, batch_size=64, decoder="pyav")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return SyntheticDataset(
        cache_dir=str(tmp_path_factory.mktemp("synthetic")),
        root=None,
        split="val",
        videos=5,
        seconds=20.0,
        fps=10.0,
        size=128,
    ).load()


def make_queries(dataset: Dataset, name: str, count: int = 8, **fields: str) -> list[GenerateQuery]:
    """The prompt about the middle of the anomaly, or of the video, for every video."""
    prompt, queries = prompts.load_prompts()[name], []
    for video in dataset.videos:
        spans = dataset.truths[video.id].spans
        middle = (spans[0].start + spans[0].stop) // 2 if spans else video.n_frames // 2
        frames = tuple(int(f) for f in np.linspace(middle - 12, middle + 12, count)) if count > 1 else (middle,)
        queries.append(prompt.query(video, Segment(frames[0], frames[-1] + 1, frames, middle), **fields))
    return queries


def test_no_prompt_has_changed_since_the_tiny_vlm_was_trained() -> None:
    trained = json.loads((VLM / "prompts.json").read_text())
    changed = [name for name, fingerprint in prompts.fingerprints().items() if trained.get(name) != fingerprint]
    assert not changed, f"conf/prompt: {', '.join(changed)} changed: run `python -m vaa.tiny.train` again"


def test_the_checkpoints_are_small() -> None:
    files = [file for file in prompts.CHECKPOINTS.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"model.safetensors", "tokenizer.json", "preprocessor_config.json"}
    assert sum(file.stat().st_size for file in files) < 10e6


@pytest.mark.parametrize(
    ("name", "parser", "fields"),
    [
        ("verdict", parsers.VerdictParser(), {}),
        ("score", parsers.RatingParser(), {}),
        ("threshold", parsers.YesNoParser(), {"threshold": "0.5"}),
        ("guided", parsers.ZeroParser(), {}),
        ("guided_xd", parsers.ZeroParser(), {}),
        ("guided_digit", parsers.RatingParser(), {}),
        ("guided_xd_digit", parsers.RatingParser(), {}),
        ("watch", parsers.YesNoParser(), {}),
    ],
)
def test_its_scores_are_parsed_and_mostly_right(
    vlm: TransformersVLM, dataset: Dataset, name: str, parser: Callable[[str], Response], fields: dict[str, str]
) -> None:
    scores = [parser(str(text)).score for text in vlm.generate(make_queries(dataset, name, **fields))]
    assert not any(math.isnan(score) for score in scores)
    wrong = [(s > 0.5) != bool(dataset.truths[v.id].spans) for s, v in zip(scores, dataset.videos, strict=True)]
    assert sum(wrong) <= 1


def test_what_is_seen_is_more_probable_than_what_is_not(vlm: TransformersVLM, dataset: Dataset) -> None:
    wordings = {c: w.wordings[0] for w in CONCEPTS for c in w.classes if len(w.classes) == 1 and c in ANOMALOUS}
    seen: list[float] = []
    unseen: list[float] = []
    for name, wording in [*wordings.items(), ("nothing", "a bicycle")]:
        queries = [
            ChooseQuery(purpose="watch", video=q.video, at=q.at, frames=q.frames, text=q.text, choices=("YES", "NO"))
            for q in make_queries(dataset, "watch_for", definition=wording, exceptions="")
        ]
        for video, probabilities in zip(dataset.videos, vlm.choose(queries), strict=True):
            labels = [span.label for span in dataset.truths[video.id].spans]
            (seen if name in labels else unseen).append(float(np.asarray(probabilities)[0]))
    assert np.mean(seen) > 0.7
    assert np.mean(unseen) < 0.4


def test_it_answers_descriptions_tags_and_explanations(vlm: TransformersVLM, dataset: Dataset) -> None:
    for name, fields, ending in (("describe", {}, "."), ("tags", {}, "]"), ("understand", {"tags": "none"}, ".")):
        for text in vlm.generate(make_queries(dataset, name, **fields)):
            assert str(text).strip().endswith(ending)


def test_it_captions_a_frame_and_summarises_captions(vlm: TransformersVLM, dataset: Dataset) -> None:
    sentences = set(tokenizer.answers())
    texts = [str(text) for text in vlm.generate(make_queries(dataset, "frame", count=1))]
    assert set(texts) <= sentences
    captions = ["A person walks in the street by day."] * 4 + ["A fire burns in the street by day."] * 6
    (summary,) = vlm.generate([replace(make_queries(dataset, "summarise", captions="\n".join(captions))[0], frames=())])
    assert summary == "A fire burns in the street by day."


def test_its_boxes_are_json(vlm: TransformersVLM, dataset: Dataset) -> None:
    for name, fields in (("box_any", {}), ("box", {"tags": "fight"})):
        for text in vlm.generate(make_queries(dataset, name, count=1, **fields)):
            assert isinstance(json.loads(str(text)), list)


def test_it_rates_a_caption_without_frames(vlm: TransformersVLM, dataset: Dataset) -> None:
    no_frames = Segment(0, 1, (), 0)
    prompt = prompts.load_prompts()["rate"]
    captions = ("Two people fight in the street at night.", "A person walks a dog in the courtyard by day.")
    queries = [prompt.query(dataset.videos[0], no_frames, caption=caption) for caption in captions]
    anomalous, normal = (parsers.RatingParser()(str(text)).score for text in vlm.generate(queries))
    assert anomalous > 0.5 > normal


def test_the_tiny_clip_embeds_frames_and_texts(clip: ClipEncoder, dataset: Dataset) -> None:
    queries = [EmbedQuery(video=q.video, at=q.at, frames=q.frames) for q in make_queries(dataset, "describe")]
    frames = list(clip.embed(queries))
    sentences = ("A fire burns in the street by day.", "A person waits in the corridor at night.")
    texts = list(clip.embed([EmbedQuery(video=dataset.videos[0], at=0, text=text) for text in sentences]))
    assert {vector.shape for vector in (*frames, *texts)} == {(64,)}
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-5) for vector in texts)
    assert all(0.5 < np.linalg.norm(vector) <= 1 + 1e-5 for vector in frames)


def test_the_model_card_exists() -> None:
    assert (Path(__file__).parents[2] / "docs" / "tiny.md").is_file()
