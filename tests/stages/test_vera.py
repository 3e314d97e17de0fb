"""VERA's refinement and scores, against loops written from the paper's formula and from the authors' programs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from making import UnusedModel

from vaa.errors import ConfigError
from vaa.stages.base import Transform
from vaa.stages.scores import CentreWeight, ExpandToFrames, GaussianKernel, Identity
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
    ("n", "share", "count"), [(1, 0.1, 1), (9, 0.1, 9), (10, 0.1, 1), (20, 0.15, 3), (59, 0.1, 5), (5, 1.0, 5)]
)
def test_retrieval_agrees_with_the_reference(n: int, share: float, count: int) -> None:
    rng = np.random.default_rng(n)
    frames, initial = rng.normal(size=(2 * n, 5)), rng.random(n)
    track = (
        RetrievalRefine(model=UnusedModel(), fraction=share, all_up_to=0, temperature=0.1)
        .absorb(report(initial), list(frames))
        .track
    )
    assert track is not None
    np.testing.assert_allclose(track.values, reference(frames, initial, count), atol=1e-12)


def test_with_one_retrieved_segment_scores_are_unchanged() -> None:
    values = np.array([0.0, 1.0, 0.0, 1.0])
    track = (
        RetrievalRefine(model=UnusedModel(), fraction=0.25, all_up_to=0, temperature=0.1)
        .absorb(report(values), list(np.random.default_rng(0).normal(size=(8, 5))))
        .track
    )
    assert track is not None
    np.testing.assert_allclose(track.values, values)


def test_retrieval_queries_each_frame_once() -> None:
    queries = RetrievalRefine(model=UnusedModel(), fraction=0.1, all_up_to=0, temperature=0.1).queries(
        report(np.zeros(3))
    )
    assert [(query.frames, query.text) for query in queries] == [((k,), "") for k in range(6)]


@pytest.mark.parametrize(("share", "temperature"), [(0.0, 0.1), (1.1, 0.1), (0.1, 0.0)])
def test_invalid_values_are_refused(share: float, temperature: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        RetrievalRefine(model=UnusedModel(), fraction=share, all_up_to=0, temperature=temperature)


def test_scores_are_rounded() -> None:
    track = RoundScores(digits=1, sigmoid=False)(report(np.array([0.04, 0.06, 0.949, 1.0]))).track
    assert track is not None
    assert track.values.tolist() == [0.0, 0.1, 0.9, 1.0]


@pytest.mark.parametrize("all_up_to", [0, 10, 4], ids=["ucf", "xd", "xd-ap"])
def test_the_number_of_neighbours_is_the_authors(all_up_to: int) -> None:
    """The last int(0.15 n) of the sorted segments, so all of them where that is 0; on XD-Violence all of a few."""
    for n in range(1, 101):
        wanted = n if n <= all_up_to else len(list(range(n))[-int(0.15 * n) :])
        # One vector for all segments: the average of the first `wanted` scores, of which the last is 1.
        initial = np.zeros(n)
        initial[wanted - 1] = 1.0
        stage = RetrievalRefine(model=UnusedModel(), fraction=0.15, all_up_to=all_up_to, temperature=0.1)
        track = stage.absorb(report(initial), [np.ones(3)] * 2 * n).track
        assert track is not None
        np.testing.assert_allclose(track.values, 1 / wanted)


def authors_frames(initial: list[float], vectors: np.ndarray, n_frames: int, small: int, ap: bool) -> list[float]:
    """The scores of all frames as the authors' programs compute them, one number at a time."""
    n = len(initial)
    unit = [row / np.linalg.norm(row) for row in vectors]
    take = n if n <= small else int(0.15 * n) or n
    refined = []
    for mine in unit:
        cosine = [float(mine @ other) for other in unit]
        best = sorted(range(n), key=lambda k: cosine[k])[-take:]
        weights = [math.exp(10 * (cosine[k] - max(cosine))) for k in best]
        refined.append(sum(w * initial[k] for w, k in zip(weights, best, strict=True)) / sum(weights))
    axis = [-8 + 15 * k / 14 for k in range(15)]  # from -15 // 2 to 15 // 2
    kernel = [math.exp(-(x**2) / 200) for x in axis]
    full = [sum(kernel[j] * refined[i - j] for j in range(15) if 0 <= i - j < n) / sum(kernel) for i in range(n + 14)]
    smooth = full[(min(n, 15) - 1) // 2 :][:n]  # "same": the middle of the full convolution
    values = [score if ap else float(np.round(score, 1)) for score in smooth]
    frames = [value for k, value in enumerate(values) for _ in range(16 if k < n - 1 else n_frames - 16 * k)]
    if ap:
        return [float(np.round(1 / (1 + math.exp(-value)), 1)) for value in frames]
    middle, sigma = n_frames // 2, int(n_frames / 2)
    return [value * math.exp(-0.5 * ((t - middle) / sigma) ** 2) for t, value in enumerate(frames)]


@pytest.mark.parametrize("ap", [False, True], ids=["auc", "ap"])
def test_the_scores_of_frames_are_those_of_the_authors_programs(ap: bool) -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n_frames, small = int(rng.integers(2, 1200)), int(rng.choice([0, 4, 10]))
        starts = np.arange(0, n_frames, 16)
        initial, vectors = rng.integers(0, 2, len(starts)).astype(float), rng.normal(size=(len(starts), 6))
        segments = tuple(Segment(int(k), int(k) + 1, (int(k),), int(k)) for k in starts)
        video = Video("v", Path("v.mp4"), n_frames, 30.0)
        refine = RetrievalRefine(model=UnusedModel(), fraction=0.15, all_up_to=small, temperature=0.1)
        done = refine.absorb(Report(video, segments, (), ScoreTrack(initial, starts)), list(vectors))
        chain: list[Transform] = [
            GaussianKernel(size=15, sigma=10.0),
            RoundScores(digits=1, sigmoid=ap),
            ExpandToFrames(),
            Identity() if ap else CentreWeight(width=0.5),
        ]
        for stage in chain:
            done = stage(done)
        assert done.track is not None
        expected = authors_frames(initial.tolist(), vectors, n_frames, small, ap)
        np.testing.assert_allclose(done.track.values, expected, atol=1e-9)
