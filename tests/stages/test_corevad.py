"""LRC, softmax refinement and the two answers' bookkeeping, against loops written from the paper's description."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation

from vaa.errors import ConfigError
from vaa.stages.corevad import LocalClean, SoftmaxRefine
from vaa.stages.scores import CentreWeight, ExpandToFrames, FloatScores, GaussianKernel
from vaa.types import EmbedQuery, Report, Response, ScoreTrack, Segment, Video


@dataclass(frozen=True)
class UnusedEncoder:
    identity: str | None = None

    def embed(self, queries: object) -> object:
        raise AssertionError("a stage does not query its model")

    def release(self) -> None: ...


def make_report(n: int, values: np.ndarray | None = None) -> Report:
    video = Video("v", Path("v.mp4"), 30 * n - 7, 30.0)
    segments = tuple(Segment(30 * k, min(30 * k + 30, 30 * n - 7), (30 * k,), 30 * k) for k in range(n))
    responses = tuple(Response(f"whole {k}", float(k % 2), f"description {k}") for k in range(n))
    track = None if values is None else ScoreTrack(values, np.arange(n) * 30)
    return Report(video, segments, responses, track)


def make_features(n: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Vision and text, float64 (n, 8); with ties, texts repeat and one response is empty, so its vector is zero."""
    rng = np.random.default_rng(seed)
    vision, text = rng.normal(size=(n, 8)), rng.normal(size=(n, 8))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    if ties:
        text[1::2] = text[: len(text[1::2])]
        text[n // 2] = 0.0
        vision[-1] = 0.0  # every response fits it equally
    return vision, text


def dot(a: np.ndarray, b: np.ndarray) -> float:
    return math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def reference_clean(vision: np.ndarray, text: np.ndarray, radius: int) -> list[int]:
    chosen = []
    for i in range(len(vision)):
        best, best_fit = None, -math.inf
        for k in range(i - radius, i + radius + 1):
            if 0 <= k < len(text) and dot(vision[i], text[k]) > best_fit:
                best, best_fit = k, dot(vision[i], text[k])
        chosen.append(best)
    return chosen


def reference_refine(vision: np.ndarray, text: np.ndarray, initial: np.ndarray, temperature: float) -> list[float]:
    refined = []
    for i in range(len(vision)):
        fits = [dot(vision[i], text[k]) / temperature for k in range(len(text))]
        weights = [math.exp(fit - max(fits)) for fit in fits]
        refined.append(math.fsum(w * float(s) for w, s in zip(weights, initial, strict=True)) / math.fsum(weights))
    return refined


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_clean_agrees_with_the_reference(n: int, radius: int, ties: bool) -> None:
    vision, text = make_features(n, n + radius, ties)
    report = make_report(n)
    cleaned = LocalClean(model=UnusedEncoder(), radius=radius).absorb(report, [*vision, *text])
    assert cleaned.responses == tuple(report.responses[k] for k in reference_clean(vision, text, radius))


def test_clean_takes_the_first_of_equally_similar_responses() -> None:
    same = np.ones((3, 4))
    cleaned = LocalClean(model=UnusedEncoder(), radius=1).absorb(make_report(3), [*same, *same])
    assert [response.text for response in cleaned.responses] == ["whole 0", "whole 0", "whole 1"]


def test_clean_prefers_an_empty_response_to_a_contradicting_one() -> None:
    vision, text = np.array([[1.0, 0.0]] * 2), np.array([[-1.0, 0.0], [0.0, 0.0]])
    cleaned = LocalClean(model=UnusedEncoder(), radius=1).absorb(make_report(2), [*vision, *text])
    assert [response.text for response in cleaned.responses] == ["whole 1", "whole 1"]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 10.0])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_refine_agrees_with_the_reference(n: int, temperature: float, ties: bool) -> None:
    vision, text = make_features(n, n, ties)
    initial = np.random.default_rng(n).integers(0, 2, n).astype(np.float64)
    track = (
        SoftmaxRefine(model=UnusedEncoder(), temperature=temperature, precision="float64")
        .absorb(make_report(n, initial), [*vision, *text])
        .track
    )
    assert track is not None
    np.testing.assert_allclose(track.values, reference_refine(vision, text, initial, temperature), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(track.starts, np.arange(n) * 30)


def test_refine_of_a_single_segment_changes_nothing() -> None:
    track = (
        SoftmaxRefine(model=UnusedEncoder(), temperature=0.05, precision="float64")
        .absorb(make_report(1, np.array([1.0])), list(np.ones((2, 3))))
        .track
    )
    assert track is not None
    assert track.values.tolist() == [1.0]


def test_single_precision_vectors_are_compared_in_double() -> None:
    vision, text = (part.astype(np.float32) for part in make_features(20, 3, False))
    initial = np.arange(20) / 20
    track = (
        SoftmaxRefine(model=UnusedEncoder(), temperature=0.05, precision="float64")
        .absorb(make_report(20, initial), [*vision, *text])
        .track
    )
    assert track is not None
    np.testing.assert_allclose(track.values, reference_refine(vision, text, initial, 0.05), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (LocalClean(model=UnusedEncoder(), radius=1), ["whole 0", "whole 1"]),
        (
            SoftmaxRefine(model=UnusedEncoder(), temperature=0.05, precision="float64"),
            ["description 0", "description 1"],
        ),
    ],
    ids=["clean", "refine"],
)
def test_queries_are_all_frames_of_each_segment_then_the_texts(
    stage: LocalClean | SoftmaxRefine, expected: list[str]
) -> None:
    report = make_report(2)
    first, second, *texts = stage.queries(report)
    assert (first.frames, first.text) == (tuple(range(30)), "")
    assert second.frames == tuple(range(30, 53))
    assert texts == [EmbedQuery(video=report.video, at=30 * k, text=text) for k, text in enumerate(expected)]


def test_refine_without_a_track_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="stages: "):
        SoftmaxRefine(model=UnusedEncoder(), temperature=0.05, precision="float64").absorb(
            make_report(2), list(np.ones((4, 3)))
        )


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_refine_refuses_a_temperature_that_is_not_positive(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        SoftmaxRefine(model=UnusedEncoder(), temperature=temperature, precision="float64")


def test_clean_refuses_a_negative_radius() -> None:
    with pytest.raises(ConfigError, match="radius"):
        LocalClean(model=UnusedEncoder(), radius=-1)


def test_clean_chooses_as_the_authors_program() -> None:
    """In float32: of the similarities with the responses i-1, i, i+1 the first that is highest."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 60))
        vision, text = rng.normal(size=(n, 16)).astype(np.float32), rng.normal(size=(n, 16)).astype(np.float32)
        expected = []
        for i in range(n):
            candidates = np.arange(max(0, i - 1), min(n, i + 2))
            expected.append(candidates[np.argmax(np.array([vision[i] @ text[j] for j in candidates]))])
        report = make_report(n)
        cleaned = LocalClean(model=UnusedEncoder(), radius=1).absorb(report, [*vision, *text])
        assert cleaned.responses == tuple(report.responses[k] for k in expected)


def test_scores_in_float16_are_those_of_the_authors_program() -> None:
    """Steps 5 to 8: what is rounded to float16, and where. Each segment on its own."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, half = int(rng.integers(1, 60)), np.float16
        n_frames = 30 * n - int(rng.integers(0, 30))
        vision, text = (rng.integers(-12, 13, (n, 16)) / 64 for _ in range(2))  # their products are exact in any order
        initial = rng.integers(0, 2, n).astype(float)
        refined = []
        for row in vision.astype(np.float32).astype(half):
            fits = np.array([np.dot(row.astype(np.float32), each) for each in text.astype(np.float32)]).astype(half)
            weights = np.exp((fits - fits.max()) / half(0.05)).astype(half)
            weights = weights / weights.sum()
            refined.append((weights * initial.astype(half)).sum())
        axis = np.linspace(-5, 4, 9)
        kernel = np.exp(-(axis**2) / 50)
        smooth = np.convolve(np.array(refined, dtype=half), kernel / kernel.sum(), mode="same")
        frames = np.repeat(smooth, 30)[:n_frames].astype(half)
        expected = frames * np.exp(-0.5 * ((np.arange(n_frames) - int(n_frames / 2)) / int(n_frames * 0.5)) ** 2)

        report = make_report(n, initial)
        report = replace(report, video=replace(report.video, n_frames=n_frames))
        refine = SoftmaxRefine(model=UnusedEncoder(), temperature=0.05, precision="float16")
        done = refine.absorb(report, [*vision.astype(np.float32), *text.astype(np.float32)])
        rest = (
            GaussianKernel(size=9, sigma=5.0),
            FloatScores(precision="float16"),
            ExpandToFrames(),
            CentreWeight(width=0.5),
        )
        for stage in rest:
            done = stage(done)
        assert done.track is not None
        np.testing.assert_array_equal(done.track.values, expected)


def test_a_precision_that_numpy_lacks_is_refused() -> None:
    with pytest.raises((ConfigError, BeartypeCallHintParamViolation)):
        SoftmaxRefine(model=UnusedEncoder(), temperature=0.05, precision="half")  # type: ignore[arg-type]
