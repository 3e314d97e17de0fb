"""Recorded embeddings: look-ups, and the authors' refinements from their files against statements of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from word_vectors import DIMENSIONS, WORD_VECTORS, WordVectors, text_vector

from vaa.cache import AnswerCache
from vaa.engines.base import LocalEngine
from vaa.errors import ConfigError, DataError
from vaa.models.recorded_encoder import RecordedEncoder
from vaa.pipeline import analyse
from vaa.process import PROJECT_ROOT
from vaa.types import EmbedQuery, Floats, NoAnswer, Video


def encoder(root: Path, suffix: str = "", stride: int = 1, text: Any = None) -> RecordedEncoder:
    return RecordedEncoder(root=str(root), suffix=suffix, stride=stride, text=text)


def video(id_: str = "v", n_frames: int = 100) -> Video:
    return Video(id_, Path("nowhere.mp4"), n_frames, 30.0)


def frames(*numbers: int, id_: str = "v") -> EmbedQuery:
    return EmbedQuery(video=video(id_), at=numbers[0], frames=numbers)


def embed(model: RecordedEncoder, *queries: EmbedQuery) -> list[Any]:
    return [each if isinstance(each, NoAnswer) else each.tolist() for each in model.embed(queries)]


def test_a_segment_is_the_mean_of_its_frames_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "v_CLIP_features.npy", np.arange(12, dtype=np.float16).reshape(6, 2))
    model = encoder(tmp_path, "_CLIP_features")
    assert embed(model, frames(0), frames(1, 2, 3), frames(5)) == [[0, 1], [4, 5], [10, 11]]
    assert model.identity is None


def test_frames_after_the_last_row_do_not_count(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(12.0).reshape(6, 2))
    kept, none = embed(encoder(tmp_path), frames(4, 5, 6, 7), frames(6, 7))
    assert kept == [9, 10]
    assert none == NoAnswer("v.npy has 6 rows, none for frame 6")


def test_a_row_may_stand_for_several_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(6.0).reshape(3, 2))
    assert embed(encoder(tmp_path, stride=16), frames(0), frames(16), frames(47)) == [[0, 1], [2, 3], [4, 5]]


def test_a_file_is_found_under_the_name_without_hash_and_a_missing_one_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "v=a__1_x.npy", np.ones((1, 2)))
    found, missing = embed(encoder(tmp_path, "_x"), frames(0, id_="v=a__#1"), frames(0, id_="w"))
    assert found == [1, 1]
    assert missing == NoAnswer(f"{tmp_path} has no w_x.npy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.arange(4.0), r"expected numbers of shape \(rows, dimensions\), not \(4,\)"),
        (np.arange(4).reshape(2, 2), "expected numbers"),
        (np.array([[{}]], dtype=object), "not an array of numbers"),
        (b"half a file", "not an array of numbers"),
    ],
    ids=["one dimension", "integers", "objects", "damaged"],
)
def test_a_file_with_another_layout_is_named_and_objects_are_never_loaded(
    tmp_path: Path, content: Any, message: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "v.npy").write_bytes(content)
    else:
        np.save(tmp_path / "v.npy", content, allow_pickle=True)
    with pytest.raises(DataError, match=rf"v\.npy: {message}"):
        embed(encoder(tmp_path), frames(0))


def test_rows_that_are_not_finite_fail_the_video(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([[1.0, np.nan], [1.0, 2.0]]))
    wrong, right = embed(encoder(tmp_path), frames(0, 1), frames(1))
    assert isinstance(wrong, NoAnswer)
    assert right == [1, 2]


def test_texts_are_embedded_by_the_encoder_of_texts(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((4, DIMENSIONS)))
    text = EmbedQuery(video=video(), at=0, text="a dog")
    mixed = embed(encoder(tmp_path, text=WordVectors()), text, frames(0), text)
    assert mixed == [text_vector("a dog").tolist(), [1] * DIMENSIONS, text_vector("a dog").tolist()]
    with pytest.raises(ConfigError, match=r"encoder\.text=null"):
        embed(encoder(tmp_path), text)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"encoder\.root=.*nowhere: no such folder"):
        embed(encoder(tmp_path / "nowhere"), frames(0))
    with pytest.raises(ConfigError, match="stride"):
        encoder(tmp_path, stride=0)


def scores(videos: Sequence[Video], *overrides: str) -> dict[str, Floats]:
    """The scores of a composed method after its last stage, by video."""
    with initialize_config_dir(str(PROJECT_ROOT / "conf"), version_base="1.3"):
        config = compose("config", [*overrides, "data=folder", "data.root=.", "protocol=lavad"])
    stages = {name: stage for name, stage in instantiate(config.stages, _convert_="all").items() if stage is not None}
    result = analyse(videos, {}, stages, LocalEngine(), AnswerCache(None))
    assert not result.failures
    return {id_: report.track.values for id_, report in result.reports.items() if report.track is not None}


def kernel(size: int, sigma: float) -> Floats:
    weights = np.exp(-(np.linspace(-size // 2, size // 2, size) ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def by_position(values: Floats) -> Floats:
    n = len(values)
    return np.asarray(values * np.exp(-0.5 * ((np.arange(n) - n // 2) / max(1, n // 2)) ** 2))


def corevad(features: Floats, responses: Sequence[str], n_frames: int) -> Floats:
    """What CoReVAD's programs do: cleaning, verdicts, softmax refinement, smoothing, position weighting."""
    vision = np.stack([features[k : k + 30].mean(axis=0) for k in range(0, len(features), 30)])
    fit = vision @ np.stack([text_vector(text) for text in responses]).T
    cleaned = []
    for i in range(len(vision)):
        near = range(max(0, i - 1), min(len(responses), i + 2))
        cleaned.append(responses[max(near, key=lambda k: (fit[i, k], -k))])
    verdicts, bodies = [], []
    for text in cleaned:
        first, _, body = text.partition(". ")
        verdicts.append(float(first.startswith("Anomalous scenes")))
        bodies.append(text_vector(body or text))
    weights = np.exp((vision @ np.stack(bodies).T) / 0.05)
    refined = (weights / weights.sum(axis=1, keepdims=True)) @ np.array(verdicts)
    smoothed = np.convolve(refined, kernel(9, 5.0), mode="same")
    return by_position(np.repeat(smoothed, 30)[:n_frames])


def test_corevads_cleaning_and_refinement_replay_from_raw_responses_and_features(tmp_path: Path) -> None:
    """200 made-up videos of up to 12 segments, features in half precision as the authors' are."""
    rng, lengths, answers = np.random.default_rng(0), {}, {}
    for number in range(200):
        name, n_frames = f"v{number}", int(rng.integers(2, 360))
        lengths[name] = n_frames
        answers[name] = [
            f"{rng.choice(['Anomalous', 'Normal'])} scenes. Scene {rng.integers(9)} of a street."
            for _ in range(0, n_frames, 30)
        ]
        rows = rng.normal(size=(n_frames, DIMENSIONS))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        np.save(tmp_path / f"{name}_CLIP_features.npy", rows.astype(np.float16))
    (tmp_path / "VLM_responses_ucf.json").write_text(json.dumps(answers))
    ours = scores(
        [video(name, n) for name, n in lengths.items()],
        *("method=corevad", "vlm=recorded", f"vlm.root={tmp_path}", "encoder=recorded", f"encoder.root={tmp_path}"),
        *WORD_VECTORS,
    )
    for name, n_frames in lengths.items():
        features = np.load(tmp_path / f"{name}_CLIP_features.npy").astype(np.float64)
        np.testing.assert_allclose(ours[name], corevad(features, answers[name], n_frames), atol=1e-5)


def vera(features: Floats, verdicts: Sequence[int], n_frames: int) -> Floats:
    """What VERA's program for UCF-Crime does, before it rounds: retrieval, smoothing, position weighting."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit.T
    n_nearest = int(0.15 * len(unit))
    refined = []
    for row in similarity:
        nearest = np.argsort(row)[-n_nearest:]
        weights = np.exp(10 * row[nearest])
        refined.append(math.fsum(weights * np.array(verdicts)[nearest]) / weights.sum())
    smoothed = np.convolve(refined, kernel(15, 10.0), mode="same")[: len(unit)]
    return by_position(np.repeat(smoothed, 16)[:n_frames])


def test_veras_refinement_replays_from_its_scores_and_features(tmp_path: Path) -> None:
    """200 made-up videos with a verdict and a feature for the window around every 16th frame."""
    rng, lengths, verdicts = np.random.default_rng(1), {}, {}
    (tmp_path / "scores").mkdir()
    (tmp_path / "features").mkdir()
    for number in range(200):
        name, n_frames = f"v{number}", int(rng.integers(16 * 7, 16 * 60))
        lengths[name], centres = n_frames, range(0, n_frames, 16)
        verdicts[name] = rng.integers(0, 2, size=len(centres)).tolist()
        entries = {
            str(at): {"start": max(0.0, at - 150.0), "end": min(at + 150.0, n_frames), "score": score}
            for at, score in zip(centres, verdicts[name], strict=True)
        }
        (tmp_path / f"scores/{name}.json").write_text(json.dumps(entries))
        np.save(tmp_path / f"features/{name}.npy", rng.normal(size=(len(centres), DIMENSIONS)).astype(np.float32))
    ours = scores(
        [video(name, n) for name, n in lengths.items()],
        *("experiment=vera_ucf_replay", f"vlm.root={tmp_path}", "vlm.verdict=scores", "refinement.fraction=0.15"),
        *(f"encoder.root={tmp_path / 'features'}", "stages.round=null"),
    )
    for name, n_frames in lengths.items():
        features = np.load(tmp_path / f"features/{name}.npy").astype(np.float64)
        np.testing.assert_allclose(ours[name], vera(features, verdicts[name], n_frames), atol=1e-6)
