"""Scores by texts, against a plain statement of the formula."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cpu_models import cpu_encoder

from vaa.errors import ConfigError
from vaa.stages.text_retrieval import Memory, ScoreByTexts
from vaa.types import Report, Response, Segment, Video

VIDEO = Video("v", Path("none"), 100, 10.0)


def stage(abnormal: int, normal: int, temperature: float, share: float = 1.0) -> ScoreByTexts:
    memory = Memory(abnormal=[f"bad {k}" for k in range(abnormal)], normal=[f"good {k}" for k in range(normal)])
    return ScoreByTexts(model=cpu_encoder("nowhere"), memory=memory, temperature=temperature, share=share)


def report(n: int) -> Report:
    segments = tuple(Segment(k, k + 1, (k,), k) for k in range(n))
    return Report(VIDEO, segments, tuple(Response(f"d{k}", math.nan, f"d{k}") for k in range(n)))


def test_the_score_is_the_softmax_weight_of_the_abnormal_texts() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, abnormal, normal = (int(number) for number in rng.integers(1, 8, 3))
        temperature = float(rng.uniform(0.02, 1.0))
        vectors = rng.normal(size=(n + abnormal + normal, 5))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scored = stage(abnormal, normal, temperature).absorb(report(n), list(vectors))
        for k, response in enumerate(scored.responses):
            terms = [math.exp(float(vectors[k] @ text) / temperature) for text in vectors[n:]]
            assert response.score == pytest.approx(sum(terms[:abnormal]) / sum(terms), abs=1e-12)
            assert scored.track is not None
            assert scored.track.values[k] == response.score


def test_a_share_of_the_score_is_the_rating() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 5))
    rated = report(2)
    rated = replace(rated, responses=tuple(replace(r, score=0.25) for r in rated.responses))
    alone = stage(1, 1, 0.5).absorb(rated, list(vectors)).responses
    for before, after in zip(alone, stage(1, 1, 0.5, share=0.75).absorb(rated, list(vectors)).responses, strict=True):
        assert after.score == pytest.approx(0.75 * before.score + 0.25 * 0.25)
    with pytest.raises(ConfigError, match=r"share=1\.5"):
        stage(1, 1, 0.5, share=1.5)


def test_each_description_and_each_text_is_embedded() -> None:
    texts = [query.text for query in stage(1, 2, 0.05).queries(report(2))]
    assert texts == ["d0", "d1", "bad 0", "good 0", "good 1"]


@pytest.mark.parametrize(("abnormal", "normal"), [([], ["a"]), (["a"], []), (["a", " "], ["b"])])
def test_a_memory_needs_texts_of_both_kinds(abnormal: list[str], normal: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"memory\.(ab)?normal: give at least one text"):
        Memory(abnormal=abnormal, normal=normal)
