from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cpu_models import cpu_encoder

from vaa.errors import ModelError
from vaa.models.transformers.encoder import ClipEncoder, byte_table
from vaa.types import EmbedQuery, NoAnswer, Query, Video
from vaa.video import sources
from vaa.video.resize import resize_frames

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture
def encoder(clip_checkpoint: Path) -> ClipEncoder:
    return cpu_encoder(clip_checkpoint, mean=MEAN, std=STD)


def frame_query(path: Path, *frames: int) -> Query:
    return EmbedQuery(video=Video("clip", path, 25, 10.0), at=0, frames=frames)


def text_query(text: str) -> Query:
    return EmbedQuery(video=Video("clip", Path("nowhere.mp4"), 25, 10.0), at=0, text=text)


def model_of(encoder: ClipEncoder):  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer, CLIPModel

    return CLIPModel.from_pretrained(encoder.checkpoint).eval(), AutoTokenizer.from_pretrained(encoder.checkpoint)


def test_a_segment_is_the_mean_of_its_frames_unit_features(encoder: ClipEncoder, clip: Path) -> None:
    import torch

    frames = tuple(range(2, 13))  # three batches
    pixels = sources.frames(frame_query(clip).video, frames, "decord")
    with torch.inference_mode():
        model, _ = model_of(encoder)
        features = [
            model.get_image_features(
                pixel_values=torch.from_numpy(
                    resize_frames(frame[None], (32, 32), "bicubic", "pil", byte_table(MEAN, STD))
                )
            ).pooler_output[0]
            for frame in pixels
        ]
    expected = np.mean([f.double().numpy() / np.linalg.norm(f.double().numpy()) for f in features], axis=0)
    (vector,) = encoder.embed([frame_query(clip, *frames)])
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, expected, atol=1e-6)
    assert np.linalg.norm(vector) < 1 - 1e-6


def test_frames_are_resized_and_normalised() -> None:
    from PIL import Image

    frame = np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8)
    resized = resize_frames(np.stack([frame, frame[::-1].copy()]), (32, 32), "bicubic", "pil", byte_table(MEAN, STD))
    small = np.asarray(Image.fromarray(frame).resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float64)
    assert (resized.shape, resized.dtype) == ((2, 3, 32, 32), np.float32)
    np.testing.assert_allclose(resized[0], ((small / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-5)


def test_texts_are_the_models_unit_features_batched_or_not(encoder: ClipEncoder) -> None:
    import torch

    texts = ["a car", "a person walks in the street", "fights", "Normal scenes.\nA  car", "runs", "a car"]
    vectors = list(encoder.embed([text_query(text) for text in texts]))
    model, tokenizer = model_of(encoder)
    for text, vector in zip(texts, vectors, strict=True):
        with torch.inference_mode():
            inputs = tokenizer([" ".join(text.split())], return_tensors="pt")
            feature = model.get_text_features(**inputs).pooler_output[0].double().numpy()
        np.testing.assert_allclose(vector, feature / np.linalg.norm(feature), atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_text_is_the_zero_vector(encoder: ClipEncoder, empty: str) -> None:
    for texts in ([empty], [empty, "a car", empty], ["a car", "runs", "fights", "the car", empty]):
        vectors = list(encoder.embed([text_query(text) for text in texts]))
        assert [bool(vector.any()) for vector in vectors] == [bool(text.strip()) for text in texts]
        assert {(vector.shape, vector.dtype.name) for vector in vectors} == {((16,), "float32")}


def test_a_text_is_cut_at_77_tokens(encoder: ClipEncoder) -> None:
    _, tokenizer = model_of(encoder)
    word = "x"
    assert len(tokenizer(word * 76)["input_ids"]) == 77  # including the end token
    fits, longer, cut, short = encoder.embed(
        [text_query(word * n + tail) for n, tail in ((76, ""), (76, "yz"), (99, ""), (75, ""))]
    )
    np.testing.assert_allclose(longer, fits, atol=1e-6)
    np.testing.assert_allclose(cut, fits, atol=1e-6)
    assert np.abs(short - fits).max() > 1e-4


def test_vectors_are_in_the_order_of_the_queries_and_a_bad_video_affects_no_other(
    encoder: ClipEncoder, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    good = [frame_query(clip, 0, 1), text_query("a car"), frame_query(clip, 24), text_query(""), text_query("runs")]
    alone = [next(encoder.embed([query])) for query in good]
    bad = frame_query(tmp_path / "bad.mp4", 0)
    mixed = list(encoder.embed([good[0], bad, good[1], *good[2:], bad]))
    assert [k for k, answer in enumerate(mixed) if isinstance(answer, NoAnswer)] == [1, 6]
    assert "bad.mp4" in mixed[1].reason
    for vector, expected in zip([v for v in mixed if not isinstance(v, NoAnswer)], alone, strict=True):
        np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_the_identity_depends_on_what_changes_a_vector(encoder: ClipEncoder, tmp_path: Path) -> None:
    same = [replace(encoder, batch_size=9), replace(encoder, device_map="auto"), replace(encoder, decoder="pyav")]
    other = [replace(encoder, dtype="bfloat16"), replace(encoder, mean=[0.5] * 3), replace(encoder, std=[0.5] * 3)]
    assert {handle.identity for handle in same} == {encoder.identity}
    assert len({handle.identity for handle in [encoder, *other]}) == 4


def test_other_statistics_are_other_vectors(encoder: ClipEncoder, clip: Path) -> None:
    vectors = [next(replace(encoder, mean=mean).embed([frame_query(clip, 3)])) for mean in (MEAN, [0.1, 0.1, 0.1])]
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4


def test_release_frees_the_weights_and_the_next_query_loads_them_again(encoder: ClipEncoder) -> None:
    from vaa.models.transformers import encoder as backend

    before = next(encoder.embed([text_query("a car")]))
    assert replace(encoder, mean=list(MEAN)) in backend._loaded  # an equal handle shares the weights
    encoder.release()
    encoder.release()
    assert encoder not in backend._loaded
    np.testing.assert_array_equal(next(encoder.embed([text_query("a car")])), before)


def test_a_folder_is_read_once(encoder: ClipEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "vanishing"
    shutil.copytree(encoder.checkpoint, folder)
    handle = replace(encoder, checkpoint=str(folder))
    before = next(handle.embed([text_query("a car")]))
    shutil.rmtree(folder)
    np.testing.assert_array_equal(next(handle.embed([text_query("a car")])), before)
    handle.release()


def test_a_wrong_checkpoint_is_refused(encoder: ClipEncoder, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing known"}))
    for name in (str(tmp_path), "nowhere/at-all"):
        with pytest.raises(ModelError, match=re.escape(name)):
            list(replace(encoder, checkpoint=name).embed([text_query("a car")]))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_overlapping_segments_are_running_means_over_one_pass(
    encoder: ClipEncoder, clip: Path, monkeypatch: pytest.MonkeyPatch, workers: int, size: int
) -> None:
    segments = [tuple(range(start, min(25, start + 9))) for start in (12, 0, 3, 6, 16)] + [(24,), (0,), (3, 9, 21)]
    expected = [next(encoder.embed([frame_query(clip, *frames)])) for frames in segments]
    decoded, frames = [], sources.frames
    monkeypatch.setattr(sources, "frames", lambda *given: decoded.extend(given[1]) or frames(*given))
    vectors = list(
        replace(encoder, batch_size=size, workers=workers).embed([frame_query(clip, *frames) for frames in segments])
    )
    np.testing.assert_allclose(np.array(vectors), np.array(expected), atol=1e-6)
    if not workers:
        assert decoded == sorted({frame for segment in segments for frame in segment})


def test_a_stride_leaves_frames_out(encoder: ClipEncoder, clip: Path) -> None:
    every = replace(encoder, stride=4)
    (thin,) = every.embed([frame_query(clip, *range(2, 13))])
    (same,) = encoder.embed([frame_query(clip, 2, 6, 10)])
    np.testing.assert_allclose(thin, same, atol=1e-6)
    assert every.identity == encoder.identity  # a frame has the same vector


@pytest.mark.parametrize(
    ("dtype", "device_map", "gpu", "expected"),
    [
        ("auto", "auto", True, "float16"),
        ("auto", "auto", False, "float32"),
        ("auto", "cpu", True, "float32"),
        ("float32", "auto", True, "float32"),
        ("bfloat16", "auto", False, "bfloat16"),
    ],
)
def test_auto_is_half_precision_on_a_gpu_only(
    encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch, dtype: str, device_map: str, gpu: bool, expected: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    handle = replace(encoder, dtype=dtype, device_map=device_map)
    assert handle.precision == expected
    assert handle.identity == replace(encoder, dtype=expected).identity
    weights = handle.requirements.weights
    assert weights is not None
    assert weights.dtype == expected


def test_auto_on_a_cpu_gives_the_vectors_of_float32(encoder: ClipEncoder, clip: Path) -> None:
    queries = [frame_query(clip, 0, 1), text_query("a car")]
    for one, other in zip(replace(encoder, dtype="auto").embed(queries), encoder.embed(queries), strict=True):
        np.testing.assert_array_equal(one, other)


def test_in_half_precision_frames_are_normalised_in_it_and_texts_in_float32(encoder: ClipEncoder, clip: Path) -> None:
    """CoReVAD: `normalize` of the half-precision features of frames, saved as they are; texts as float32 before it."""
    import torch
    from transformers import AutoTokenizer, CLIPModel

    model = CLIPModel.from_pretrained(encoder.checkpoint, dtype=torch.float16).eval()
    tokenizer = AutoTokenizer.from_pretrained(encoder.checkpoint)
    (pixels,) = sources.frames(frame_query(clip).video, (3,), "decord")
    table = byte_table(MEAN, STD)
    with torch.inference_mode():
        image = torch.from_numpy(resize_frames(pixels[None], (32, 32), "bicubic", "pil", table)).half()
        frame = torch.nn.functional.normalize(model.get_image_features(pixel_values=image).pooler_output, dim=-1)
        text = model.get_text_features(**tokenizer(["a car"], return_tensors="pt")).pooler_output.float()
    half = replace(encoder, dtype="float16")
    vectors = list(half.embed([frame_query(clip, 3), text_query("a car")]))
    # Other sizes of a batch may round the features to the neighbouring half-precision number.
    np.testing.assert_allclose(vectors[0], frame[0].float().numpy(), atol=2e-3)
    np.testing.assert_allclose(vectors[1], (text[0] / text[0].norm()).numpy(), atol=2e-3)
    assert (vectors[0].astype(np.float16) == vectors[0]).all()  # nothing was computed after the normalisation
    assert not (vectors[1].astype(np.float16) == vectors[1]).all()
    full = next(encoder.embed([frame_query(clip, 3)]))
    assert 0 < np.abs(vectors[0] - full).max() < 0.02
    half.release()
