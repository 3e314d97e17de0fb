from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cpu_models import cpu_vlm

from vaa.errors import ConfigError, ModelError
from vaa.models.transformers import vision_features
from vaa.models.transformers.families import internvl_frame_text, tokens_per_tile
from vaa.models.transformers.loaded_model import chat_text
from vaa.models.transformers.loading import loading_options
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import GenerateQuery, NoAnswer, Query, Video

QueryFactory = Callable[..., Query]


@pytest.fixture
def vlm(internvl: Path) -> TransformersVLM:
    return cpu_vlm(internvl, batch_size=3)


@pytest.fixture
def make_query(clip: Path) -> QueryFactory:
    def query(*frames: int, text: str = "what happens here", path: Path = clip, **fields: Any) -> Query:
        limit = fields.pop("max_new_tokens", 8)
        return GenerateQuery(
            purpose="verdict",
            video=Video("clip", path, 25, 10.0),
            at=0,
            frames=frames,
            text=text,
            max_new_tokens=limit,
            **fields,
        )

    return query


def test_a_batch_is_answered_like_each_query_alone(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    queries = [
        make_query(0, 5),
        make_query(20),
        make_query(),
        make_query(0, 1, 24, text="Frame <image>\nFrame <image> runs <image>"),
        make_query(text="a car", system="Normal scenes"),
        make_query(7, text="a person walks in the street " * 5),
        make_query(24),
    ]
    batched = list(vlm.generate(queries))
    assert batched == [next(vlm.generate([query])) for query in queries]
    assert len(set(batched)) == len(queries)
    assert list(vlm.generate([])) == []


@pytest.mark.parametrize(
    "other",
    [
        {"frames": (0, 24)},
        {"frames": (0,)},
        {"text": "a car"},
        {"system": "Normal"},
        {"text": "what <image> happens <image> here"},
    ],
    ids=str,
)
def test_every_field_of_a_query_changes_the_answer(
    vlm: TransformersVLM, make_query: QueryFactory, other: dict[str, Any]
) -> None:
    query = make_query(0, 5)
    first, second = vlm.generate([query, replace(query, **other)])
    assert first != second


def test_a_video_that_cannot_be_decoded_gets_no_answer_and_the_others_do(
    vlm: TransformersVLM, make_query: QueryFactory, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    good = [make_query(0), make_query(5), make_query(10), make_query(15)]
    alone = list(vlm.generate(good))
    bad = make_query(0, path=tmp_path / "bad.mp4")
    # One batch has only bad videos.
    mixed = list(vlm.generate([bad, good[0], bad, bad, bad, bad, *good[1:], make_query(26)]))
    assert [answer for answer in mixed if isinstance(answer, str)] == alone
    assert [k for k, answer in enumerate(mixed) if isinstance(answer, NoAnswer)] == [0, 2, 3, 4, 5, 9]
    assert isinstance(mixed[0], NoAnswer)
    assert "bad.mp4" in mixed[0].reason


def test_each_query_has_its_own_limit_of_new_tokens(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    short, long = make_query(0, max_new_tokens=2), make_query(0, max_new_tokens=9)
    alone, whole = next(vlm.generate([short])), next(vlm.generate([long]))
    assert len(alone) < len(whole)
    assert list(vlm.generate([short, long])) == [alone, whole]


def test_release_frees_the_weights_and_the_next_query_loads_them_again(
    vlm: TransformersVLM, make_query: QueryFactory
) -> None:
    from vaa.models.transformers import vlm as transformers_vlm

    before = list(vlm.generate([make_query(0)]))
    assert replace(vlm) in transformers_vlm._loaded  # an equal handle shares the weights
    vlm.release()
    vlm.release()
    assert vlm not in transformers_vlm._loaded
    assert list(vlm.generate([make_query(0)])) == before


def test_the_identity_depends_on_what_changes_an_answer(vlm: TransformersVLM) -> None:
    same = [replace(vlm, batch_size=9), replace(vlm, device_map="auto"), replace(vlm, decoder="pyav")]
    other = [replace(vlm, dtype="bfloat16"), replace(vlm, quantization="int8"), replace(vlm, checkpoint="org/name")]
    assert {handle.identity for handle in same} == {vlm.identity}
    assert len({handle.identity for handle in [vlm, *other]}) == 4
    assert replace(other[2], revision="abc").identity != other[2].identity


@pytest.mark.parametrize("quantization", ["int8", "nf4", "fp4"])
def test_quantized_weights_answer(vlm: TransformersVLM, make_query: QueryFactory, quantization: str) -> None:
    from vaa.models.transformers import vlm as transformers_vlm

    handle = replace(vlm, quantization=quantization)
    answers = list(handle.generate([make_query(0, 5), make_query()]))
    kinds = {type(module).__name__ for module in transformers_vlm._loaded[handle].model.modules()}
    assert ("Linear8bitLt" if quantization == "int8" else "Linear4bit") in kinds
    assert all(isinstance(answer, str) and answer for answer in answers)
    handle.release()


def test_bfloat16_answers(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    (answer,) = replace(vlm, dtype="bfloat16").generate([make_query(0, 5)])
    assert isinstance(answer, str)


def test_a_wrong_checkpoint_is_refused_by_name(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    with pytest.raises(ModelError, match="nowhere/at-all"):
        list(replace(vlm, checkpoint="nowhere/at-all").generate([make_query(0)]))


@pytest.mark.parametrize(
    ("dtype", "quantization", "message"),
    [
        ("float8", "none", "dtype=float8: choose one of float32"),
        ("float32", "int3", "quantization=int3: choose one of none, int8"),
    ],
)
def test_an_unknown_precision_is_refused_by_name(dtype: str, quantization: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loading_options("cpu", dtype, quantization)


@pytest.mark.parametrize("field", ["batch_size", "workers", "max_pixels"])
def test_a_negative_size_is_refused(vlm: TransformersVLM, field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field}=-1"):
        replace(vlm, **{field: -1})


def test_a_checkpoint_of_another_kind_is_refused(
    vlm: TransformersVLM, make_query: QueryFactory, clip_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (clip_checkpoint, tmp_path / "empty"):
        with pytest.raises(ModelError, match=f"(?s){folder.name}"):
            list(replace(vlm, checkpoint=str(folder)).generate([make_query(0)]))


def test_a_checkpoint_without_a_chat_template_is_refused(
    vlm: TransformersVLM, make_query: QueryFactory, internvl: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(internvl, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"plain.*no chat template"):
        list(replace(vlm, checkpoint=str(folder)).generate([make_query(0)]))


@pytest.mark.parametrize(("frames", "marks"), [((0,), 2), ((0, 1), 1), ((), 1)])
def test_another_number_of_image_marks_than_frames_is_refused(
    vlm: TransformersVLM, make_query: QueryFactory, frames: tuple[int, ...], marks: int
) -> None:
    with pytest.raises(ConfigError, match=f"verdict prompt has {marks} <image> marks for {len(frames)} frames"):
        list(vlm.generate([make_query(*frames, text="<image>" * marks)]))


def test_the_input_text_of_the_model(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vlm.checkpoint)

    def internvl_text(query: Query) -> str:
        return chat_text(tokenizer, query, [internvl_frame_text(tokenizer, None, 4) for _ in query.frames])

    image = "<img>" + "<IMG_CONTEXT>" * 4 + "</img>"
    marked = make_query(0, 1, text="A: <image>\nB: <image>", system="Be brief")
    assert internvl_text(marked) == f"<system>Be brief<user>A: {image}\nB: {image}<assistant>"
    assert internvl_text(make_query(0, 1, text="what?")) == f"<user>{image}{image}what?<assistant>"


def test_tokens_per_tile(internvl: Path) -> None:
    vision = SimpleNamespace(image_size=[448, 448], patch_size=14)
    assert tokens_per_tile(SimpleNamespace(vision_config=vision, downsample_ratio=0.5)) == 256
    config = json.loads((internvl / "config.json").read_text())
    assert config["image_seq_length"] == 4


def test_pixels_are_the_frame_resized_and_normalised(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    import numpy as np
    from PIL import Image

    from vaa.models.transformers import vlm as transformers_vlm
    from vaa.video import sources

    list(vlm.generate([make_query(0)]))
    frame = sources.frames(make_query(0).video, [12], "decord")[0]
    inputs = transformers_vlm._loaded[vlm].frame_processor.processor(
        images=[frame], crop_to_patches=False, return_tensors="np"
    )
    small = np.asarray(Image.fromarray(frame).resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    expected = (small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(inputs["pixel_values"][0], expected.transpose(2, 0, 1), atol=1e-5)


def test_a_transformers_version_that_ignores_the_frames_is_refused() -> None:
    """Like transformers 5.17, which ignores unknown arguments."""

    class Inner:
        def forward(self, input_ids: object, **kwargs: object) -> None: ...

    with pytest.raises(ModelError, match=r"pip install 'transformers>=5\.18'"):
        vision_features.check_accepts_features(SimpleNamespace(model=Inner()))
