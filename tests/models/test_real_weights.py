"""Released weights out of the package index, where they were fetched (make models); `pytest -rP` shows the answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cpu_models import cpu_llm
from hydra.utils import instantiate
from sklearn.metrics import roc_auc_score

from vaa.models.checkpoints.files import PACKAGED
from vaa.models.transformers.llm import TransformersLLM
from vaa.models.transformers.text_encoder import TextEncoder
from vaa.process import PROJECT_ROOT
from vaa.stages.responses import ChoiceRatings
from vaa.stages.text_retrieval import ScoreByTexts
from vaa.types import EmbedQuery, GenerateQuery, Report, Response, Segment, Video

NORMAL = (
    "The video shows a man walking along a pavement with a shopping bag.",
    "A woman pushes a pram through a park while other people sit on benches.",
    "Cars wait at a red light and drive on when it turns green.",
    "The video shows an empty corridor with closed doors.",
    "Two employees talk behind the counter of a bakery.",
    "A group of children plays football on a field.",
    "A man reads a newspaper at a table in a cafe.",
    "The video shows customers who look at clothes in a shop.",
    "A bus stops and several people get on.",
    "A woman waters the plants in front of her house.",
    "People dance at a wedding and clap their hands.",
    "The video shows a parking lot with several parked cars in the evening.",
)
ABNORMAL = (
    "A man punches another man in the face until he falls down.",
    "The video shows a masked person pointing a gun at a cashier.",
    "A car drives through a red light and hits a motorcycle.",
    "Thick smoke and flames come out of the windows of a building.",
    "A woman hides a bottle under her coat and leaves the shop without paying.",
    "Two people kick a man who lies on the ground.",
    "The video shows a person breaking the window of a car and reaching inside.",
    "A crowd throws stones at police officers and overturns a car.",
    "An explosion destroys the front of a shop and people run away.",
    "A man pours petrol on a door and sets it on fire.",
    "Police officers push a man to the ground and handcuff him.",
    "The video shows a soldier shooting at people in a street.",
)
VIDEO = Video("captions", Path("none"), 24, 1.0)
CAPTIONS, LABELS = (*NORMAL, *ABNORMAL), [0] * len(NORMAL) + [1] * len(ABNORMAL)


def weights(name: str) -> pytest.MarkDecorator:
    reason = f"no weights of {name} here: make models"
    return pytest.mark.skipif(not (PROJECT_ROOT / PACKAGED / name).is_dir(), reason=reason)


def conf(name: str) -> Any:
    """A choice of conf/, instantiated."""
    return instantiate(yaml.safe_load((PROJECT_ROOT / "conf" / f"{name}.yaml").read_text(encoding="utf-8")))


def smollm2(chat: bool) -> TransformersLLM:
    return cpu_llm(PROJECT_ROOT / PACKAGED / "smollm2", chat=chat, batch_size=24)


def minilm() -> TextEncoder:
    fields = {"revision": None, "dtype": "float32", "device_map": "cpu", "max_tokens": 64, "batch_size": 24}
    return TextEncoder(checkpoint=str(PACKAGED / "minilm"), **fields)


def scores(stage: Any, answers: Any) -> list[float]:
    """The stage's scores of the captions, printed."""
    segments = tuple(Segment(k, k + 1, (k,), k) for k in range(len(CAPTIONS)))
    report = Report(VIDEO, segments, tuple(Response("", math.nan, caption) for caption in CAPTIONS))
    found = [response.score for response in stage.absorb(report, list(answers(stage.queries(report)))).responses]
    for caption, label, score in zip(CAPTIONS, LABELS, found, strict=True):
        print(f"{score:.3f} {'abnormal' if label else 'normal  '} {caption}")
    print(f"ROC AUC: {roc_auc_score(LABELS, found):.3f}")
    return found


@weights("smollm2")
def test_smollm2_answers_a_question() -> None:
    question = "What is the capital of France?"
    query = GenerateQuery(purpose="test", video=VIDEO, at=0, frames=(), text=question, max_new_tokens=24)
    (answer,) = smollm2(chat=True).generate([query])
    print(f"{question} {answer}")
    assert "Paris" in str(answer)


@weights("smollm2")
def test_smollm2_rates_abnormal_captions_higher_after_examples() -> None:
    llm = smollm2(chat=False)
    stage = ChoiceRatings(model=llm, prompt=conf("prompt/danger_examples"), choices=(" Yes", " No"), sentences=1)
    assert roc_auc_score(LABELS, scores(stage, llm.choose)) > 0.9


@weights("minilm")
def test_minilm_rates_abnormal_captions_higher_by_their_similarity_to_texts() -> None:
    encoder = minilm()
    stage = ScoreByTexts(model=encoder, memory=conf("memory/scenes"), temperature=0.05, share=1.0)
    assert roc_auc_score(LABELS, scores(stage, encoder.embed)) > 0.9


@weights("minilm")
def test_minilm_knows_what_texts_mean() -> None:
    texts = ("Two men hit each other.", "A fight breaks out.", "A woman buys bread.", "Somebody pays for groceries.")
    vectors = np.array(list(minilm().embed([EmbedQuery(video=VIDEO, at=0, text=text) for text in texts])))
    similarities = vectors @ vectors.T
    for text, row in zip(texts, similarities, strict=True):
        print(f"{text:30s}", *(f"{value:.2f}" for value in row))
    assert (similarities - 2 * np.eye(4)).argmax(axis=1).tolist() == [1, 0, 3, 2]
