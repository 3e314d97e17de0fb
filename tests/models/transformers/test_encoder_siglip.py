from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from tiny_checkpoints import make, siglip

from vaa.errors import ModelError
from vaa.models.transformers.encoder import ClipEncoder, byte_table
from vaa.types import EmbedQuery, Query, Video
from vaa.video import sources
from vaa.video.resize import resize_frames

CONF = Path(__file__).parents[3] / "conf/encoder"
TEST_FIELDS = {"device_map": "cpu", "decoder": "decord", "workers": 0, "batch_size": 4, "resize": "pil"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return siglip(tmp_path_factory.mktemp("siglip"))


def encoder(name: str, folder: Path) -> ClipEncoder:
    fields = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    model: ClipEncoder = instantiate(fields | TEST_FIELDS | {"checkpoint": str(folder)}, _convert_="all")
    return model


def frame_query(path: Path, *frames: int) -> Query:
    return EmbedQuery(video=Video("clip", path, 25, 10.0), at=0, frames=frames)


def text_query(text: str) -> Query:
    return replace(frame_query(Path("nowhere.mp4")), text=text)


def test_frames_are_the_models_unit_features(folder: Path, clip: Path) -> None:
    import torch
    from transformers import SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    handle = encoder("siglip2", folder)
    (vector,) = handle.embed([frame_query(clip, 3)])
    frame = sources.frames(frame_query(clip).video, [3], "decord")
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32}, resample=2)  # as the repository has it
    pixels = processor(images=list(frame), return_tensors="np")["pixel_values"]
    ours = resize_frames(frame, (32, 32), "bilinear", "pil", byte_table(handle.mean, handle.std))
    np.testing.assert_allclose(ours, pixels, atol=1e-5)
    with torch.inference_mode():
        model = SiglipModel.from_pretrained(folder).eval()
        feature = model.get_image_features(pixel_values=torch.from_numpy(pixels)).pooler_output[0].numpy()
    np.testing.assert_allclose(vector, feature / np.linalg.norm(feature), atol=1e-5)


def test_texts_are_lower_case_padded_to_64_and_cut_there(folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, SiglipModel

    texts = ["a Car", "", "A person walks in the STREET", "x" * 99]
    vectors = list(encoder("siglip2", folder).embed([text_query(text) for text in texts]))
    model, tokenizer = SiglipModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(texts, vectors, strict=True):
        assert (vector.shape, vector.dtype.name) == ((64,), "float32")
        if not text:
            assert not vector.any()
            continue
        ids = tokenizer(text.lower(), add_special_tokens=True)["input_ids"]
        ids = [*ids[:63], tokenizer.eos_token_id] if len(ids) > 64 else ids
        padded = torch.tensor([ids + [tokenizer.pad_token_id] * (64 - len(ids))])
        with torch.inference_mode():
            feature = model.get_text_features(input_ids=padded).pooler_output[0].numpy()
        np.testing.assert_allclose(vector, feature / np.linalg.norm(feature), atol=1e-5)


@pytest.mark.parametrize("name", ["clip_vit_b16", "clip_vit_l14"])
def test_the_clip_yaml_files_encode_frames_and_texts(name: str, clip_checkpoint: Path, clip: Path) -> None:
    handle = encoder(name, clip_checkpoint)
    for vector in handle.embed([frame_query(clip, 0, 9), text_query("a car")]):
        assert isinstance(vector, np.ndarray)
        assert np.linalg.norm(vector) <= 1 + 1e-6


def test_resampling_changes_the_vector(folder: Path, clip: Path) -> None:
    handle = encoder("siglip2", folder)
    other = replace(handle, resample="bicubic")
    assert handle.identity != other.identity
    one, two = (next(iter(h.embed([frame_query(clip, 3)]))) for h in (handle, other))
    assert np.abs(np.asarray(one) - np.asarray(two)).max() > 1e-5


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    handle = encoder("siglip2", make("qwen3", tmp_path / "llm"))
    with pytest.raises(ModelError, match="qwen3"):
        list(handle.embed([text_query("a car")]))
