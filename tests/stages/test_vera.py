"""VERA's retrieval, against a loop written from the paper's formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from making import UnusedModel

from vaa.errors import ConfigError
from vaa.stages.vera import RetrievalRefine, RoundScores
from vaa.types import Report, ScoreTrack, Segment, Video


def report(values: np.ndarray) -> Report:
    """Segments of two frames each, that share none."""
    n = len(values)
    segments = tuple(Segment(2 * k, 2 * k + 2, (2 * k, 2 * k + 1), 2 * k) for k in range(n))
    return Report(Video("v", Path("v.mp4"), 2 * n, 10.0), segments, (), ScoreTrack(values, 2 * np.arange(n)))


def reference(frames: np.ndarray, initial: np.ndarray, count: int) -> list[float]:
    """For every segment: the `count` most similar, itself among them, by cosine; softmax(10 x cosine) weights."""
    looks = [
        [(float(a) + float(b)) / 2 for a, b in zip(*pair, strict=True)] for pair in frames.reshape(len(initial), 2, -1)
    ]
    refined = []
    for mine in looks:
        likeness = []
        for other in looks:
            dot = math.fsum(a * b for a, b in zip(mine, other, strict=True))
            likeness.append(dot / (math.dist(mine, [0] * len(mine)) * math.dist(other, [0] * len(other))))
        best = sorted(range(len(looks)), key=lambda k: -likeness[k])[:count]
        weights = {k: math.exp(10 * likeness[k]) for k in best}
        refined.append(math.fsum(weights[k] * float(initial[k]) for k in best) / math.fsum(weights.values()))
    return refined


@pytest.mark.parametrize(
    ("n", "share", "count"), [(1, 0.1, 1), (9, 0.1, 1), (20, 0.15, 3), (30, 0.1, 3), (59, 0.1, 5), (5, 1.0, 5)]
)
def test_retrieval_agrees_with_the_reference(n: int, share: float, count: int) -> None:
    rng = np.random.default_rng(n)
    frames, initial = rng.normal(size=(2 * n, 5)), rng.random(n)
    track = (
        RetrievalRefine(model=UnusedModel(), fraction=share, temperature=0.1)
        .absorb(report(initial), list(frames))
        .track
    )
    assert track is not None
    np.testing.assert_allclose(track.values, reference(frames, initial, count), atol=1e-12)


def test_with_one_retrieved_segment_scores_are_unchanged() -> None:
    values = np.array([0.0, 1.0, 0.0, 1.0])
    track = (
        RetrievalRefine(model=UnusedModel(), fraction=0.1, temperature=0.1)
        .absorb(report(values), list(np.random.default_rng(0).normal(size=(8, 5))))
        .track
    )
    assert track is not None
    np.testing.assert_allclose(track.values, values)


def test_retrieval_queries_each_frame_once() -> None:
    queries = RetrievalRefine(model=UnusedModel(), fraction=0.1, temperature=0.1).queries(report(np.zeros(3)))
    assert [(query.frames, query.text) for query in queries] == [((k,), "") for k in range(6)]


@pytest.mark.parametrize(("share", "temperature"), [(0.0, 0.1), (1.1, 0.1), (0.1, 0.0)])
def test_invalid_values_are_refused(share: float, temperature: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        RetrievalRefine(model=UnusedModel(), fraction=share, temperature=temperature)


def test_scores_are_rounded() -> None:
    track = RoundScores(digits=1)(report(np.array([0.04, 0.06, 0.949, 1.0]))).track
    assert track is not None
    assert track.values.tolist() == [0.0, 0.1, 0.9, 1.0]
