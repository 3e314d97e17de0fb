from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from making import make_clip
from queries import choose_query
from tiny_checkpoints import make

from vaa.errors import ConfigError, ModelError
from vaa.frame_times import FrameTimes
from vaa.models import base
from vaa.models.base import Locator
from vaa.models.transformers import kv_cache
from vaa.models.transformers.families import FAMILIES, VisionInputs, compressed, family_of
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import ChatQuery, GenerateQuery, Query, Video

CONF = Path(__file__).parents[3] / "conf/vlm"
TEST_FIELDS = {
    "dtype": "float32",
    "device_map": "cpu",
    "batch_size": 3,
    "decoder": "decord",
    "workers": 0,
    "resize": "pil",
    "max_pixels": None,
    "max_visual_tokens": None,
    "compress_tokens": False,
    "vllm": None,
}
NAMES = ["internvl", "qwen2_5_vl", "qwen3_vl", "videollama3", "llava_onevision"]
GRID = ["qwen2_5_vl", "qwen3_vl", "videollama3"]
QueryFactory = Callable[..., Query]


@pytest.fixture(scope="session")
def folders(internvl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: make(name, tmp_path_factory.mktemp(name)) for name in NAMES if name != "internvl"}
    return {**made, "internvl": internvl}


@pytest.fixture
def vlm(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TransformersVLM:
    """The model of a yaml file, on a tiny checkpoint of its architecture."""
    fields = yaml.safe_load((CONF / f"{request.param}.yaml").read_text())
    model: TransformersVLM = instantiate(
        fields | TEST_FIELDS | {"checkpoint": str(folders[request.param])}, _convert_="all"
    )
    return model


@pytest.mark.parametrize("vlm", ["internvl"], indirect=True)
@pytest.mark.parametrize("shape", [(64, 64), (33, 91), (240, 320)])
def test_internvl_pixels_equal_those_of_its_image_processor_to_the_last_bit(
    vlm: TransformersVLM, shape: tuple[int, int]
) -> None:
    frames = list(np.random.default_rng(0).integers(0, 256, (3, *shape, 3), dtype=np.uint8))
    processor = vlm._load().frame_processor
    assert processor is not None
    (pixels,) = processor.prepare(frames).tensors.values()
    expected = processor.processor(images=frames, crop_to_patches=False, return_tensors="pt")["pixel_values"]
    assert pixels.dtype == expected.dtype
    assert (pixels == expected).all()
    unscaled = replace(
        processor, processor=type(processor.processor)(**processor.processor.to_dict() | {"do_rescale": False})
    )
    (pixels,) = unscaled.prepare(frames).tensors.values()
    assert (
        pixels == unscaled.processor(images=frames, crop_to_patches=False, return_tensors="pt")["pixel_values"]
    ).all()
    assert float(pixels.max()) > 100


each = pytest.mark.parametrize("vlm", NAMES, indirect=True)
grid = pytest.mark.parametrize("vlm", GRID, indirect=True)


@pytest.fixture(scope="session")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "upright.mp4", 25, size=(64, 128))


@pytest.fixture
def make_query(clip: Path) -> QueryFactory:
    def query(*frames: int, text: str = "what happens here", path: Path = clip, **fields: Any) -> ChatQuery:
        if "choices" in fields:
            return choose_query(query(*frames, text=text, path=path), fields["choices"])
        fields = {"max_new_tokens": 8} | fields
        return GenerateQuery(
            purpose="verdict", video=Video("clip", path, 25, 10.0), at=0, frames=frames, text=text, **fields
        )

    return query


@each
def test_a_mixed_batch_is_answered_like_each_query_alone(
    vlm: TransformersVLM, make_query: QueryFactory, upright: Path
) -> None:
    queries = [
        make_query(0, 5),
        make_query(20),
        make_query(),
        make_query(3, 4, path=upright),
        make_query(0, 1, 24, text="Frame <image>\nFrame <image> runs <image>"),
        make_query(text="a car", system="Normal scenes"),
        make_query(7, text="a person walks in the street " * 5),
        make_query(24, path=upright),
    ]
    batched = list(vlm.generate(queries))
    assert batched == [next(vlm.generate([query])) for query in queries]
    assert len(set(batched)) > len(queries) - 2


@each
def test_prompts_prefilled_a_few_at_a_time_are_answered_like_all_at_once(
    vlm: TransformersVLM, make_query: QueryFactory, upright: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [make_query(24, text="a person walks in the street " * 5), make_query(0, 5), make_query(20, path=upright)]
    words = [
        make_query(),
        make_query(text="a car", system="Normal scenes"),
        make_query(text="a person walks in the street " * 5),
    ]
    mixed = [make_query(7), make_query(), make_query(12, path=upright)]
    queries, rows = [*shown, *words, *mixed], list[int]()
    batched = list(vlm.generate(queries))
    monkeypatch.setattr(kv_cache, "_PREFILL_TOKENS", {"cpu": 21})
    inner = vlm._load().model.get_decoder()
    hook = inner.register_forward_pre_hook(
        lambda _, __, given: rows.append(len(given["inputs_embeds"])), with_kwargs=True
    )
    one_by_one = list(vlm.generate(queries))
    hook.remove()
    assert one_by_one == batched
    assert rows.count(1) >= 6  # without the limit: three rows


@each
def test_the_order_of_frames_changes_the_answer(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    choices = ("a", "c", "s", "Anomalous")
    first, other, reversed_order = vlm.choose(
        [make_query(0, 24, choices=choices), make_query(0, 12, choices=choices), make_query(24, 0, choices=choices)]
    )
    for one, two in ((first, other), (first, reversed_order)):
        assert np.abs(np.asarray(one) - np.asarray(two)).max() > 1e-6


@each
def test_there_are_as_many_visual_tokens_as_features(
    vlm: TransformersVLM, make_query: QueryFactory, upright: Path
) -> None:
    import torch

    from vaa.video import sources

    loaded = vlm._load()
    frames = [
        sources.frames(make_query(path=path).video, [k], "decord")[0]
        for path, k in ((make_query().video.path, 0), (upright, 9))
    ]
    for shown in ([frames[0]], frames, [frames[1], frames[0], frames[1]]):
        inputs = loaded.frame_processor.prepare(shown)
        with torch.inference_mode():
            features = loaded.model.get_image_features(**inputs.tensors, return_dict=True).pooler_output
        assert [len(one) for one in features] == list(inputs.tokens)
        text = loaded.chat_text(make_query(*range(len(shown))), inputs.tokens)
        ids = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids.count(loaded.model.config.image_token_id) == sum(inputs.tokens)


@grid
def test_max_pixels_limits_the_pixels_of_a_frame(vlm: TransformersVLM) -> None:
    huge, tokens = np.zeros((320, 512, 3), dtype=np.uint8), []
    processor = vlm._load().frame_processor
    assert processor is not None
    for max_pixels in (None, 4096, 1024):
        inputs = replace(processor, max_pixels=max_pixels).prepare([huge])
        assert inputs.tensors["pixel_values"].shape[0] * 8 * 8 <= (max_pixels or 4096)
        tokens.append(inputs.tokens)
    assert tokens[0] == tokens[1] > tokens[2]


@pytest.mark.parametrize("vlm", ["internvl", "llava_onevision"], indirect=True)
def test_a_limit_of_visual_tokens_is_refused_where_every_frame_has_as_many(
    vlm: TransformersVLM, make_query: QueryFactory
) -> None:
    with pytest.raises(ConfigError, match=r"max_visual_tokens=64: .*null"):
        list(replace(vlm, max_visual_tokens=64).generate([make_query(0)]))


@pytest.mark.parametrize("vlm", ["internvl", "qwen2_5_vl", "qwen3_vl", "llava_onevision"], indirect=True)
def test_compressed_tokens_are_refused_by_families_not_trained_with_them(
    vlm: TransformersVLM, make_query: QueryFactory
) -> None:
    with pytest.raises(ConfigError, match="compress_tokens=true"):
        list(replace(vlm, compress_tokens=True).generate([make_query(0)]))


@grid
def test_the_frames_of_a_query_share_its_visual_tokens_whatever_else_is_in_the_batch(vlm: TransformersVLM) -> None:
    processor = vlm._load().frame_processor
    assert processor is not None
    frames = [np.zeros((96, 128, 3), dtype=np.uint8)] * 6
    limited = replace(processor, max_visual_tokens=32)
    alone = limited.prepare(frames[:5])
    assert sum(alone.tokens) <= 32 < sum(processor.prepare(frames[:5]).tokens)
    batch = limited.prepare(frames, [0, 1, 5, 0])
    assert batch.tokens == (*limited.prepare(frames[:1]).tokens, *alone.tokens)
    assert (batch.tensors["image_grid_thw"][1:] == alone.tensors["image_grid_thw"]).all()
    assert replace(vlm, max_visual_tokens=32).identity != vlm.identity


@pytest.mark.parametrize("vlm", ["internvl", "llava_onevision"], indirect=True)
def test_only_internvl_can_be_resized_by_torch(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    quick = replace(vlm, resize="torch")
    assert quick.identity == f"{vlm.identity.removesuffix(' greedy')} resize torch greedy"
    if vlm._load().frame_processor.config.model_type == "internvl":  # type: ignore[union-attr]
        assert list(quick.generate([make_query(3)])) != []
    else:
        with pytest.raises(ConfigError, match=r"vlm\.resize=torch.*encoder\.resize=torch"):
            list(quick.generate([make_query(3)]))


@pytest.mark.parametrize("vlm", ["internvl", "llava_onevision"], indirect=True)
def test_max_pixels_is_refused_where_every_frame_is_one_tile(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    with pytest.raises(ConfigError, match=r"max_pixels=4096: .*32x32.*max_pixels=null"):
        list(replace(vlm, max_pixels=4096).generate([make_query(0)]))


@pytest.mark.parametrize(
    ("vlm", "expected"),
    [
        ("qwen3_vl", "<user><0.5 seconds>{0}<2.4 seconds>{1}what?<assistant>"),
        ("videollama3", "<user>Time 0.5s:{0},Time 2.4s:{1}\nwhat?<assistant>"),
    ],
    indirect=["vlm"],
)
def test_timestamps_come_before_their_frames(vlm: TransformersVLM, make_query: QueryFactory, expected: str) -> None:
    loaded = vlm._load()
    start, end = ("<|vision_start|>", "<|vision_end|>") if "seconds" in expected else ("", "")
    marks = [f"{start}{'<|image_pad|>' * count}{end}" for count in (2, 3)]
    assert loaded.chat_text(make_query(5, 24, text="what?"), (2, 3)) == expected.format(*marks)
    interleaved = loaded.chat_text(make_query(5, 24, text="A: <image>\nB: <image> what?"), (2, 3))
    assert [piece in interleaved for piece in ("A: ", marks[0] + "\nB: ", marks[1] + " what?")] == [True] * 3
    query = make_query(5, 24, text="what?")
    times = FrameTimes(np.append(np.arange(24) / 10, 115.0))
    own_times = replace(query, video=replace(query.video, times=times))
    assert loaded.chat_text(own_times, (2, 3)) == expected.replace("2.4", "115.0").format(*marks)
    told = replace(query, times=(0.25, 2.0))
    assert loaded.chat_text(told, (2, 3)) == expected.replace("0.5", "0.2").replace("2.4", "2.0").format(*marks)
    plain = replace(vlm, timestamps=False)
    assert "2.4" not in plain._load().chat_text(make_query(5, 24, text="what?"), (2, 3))
    assert plain.identity != vlm.identity


@pytest.mark.parametrize("vlm", ["internvl", "qwen2_5_vl", "llava_onevision"], indirect=True)
def test_timestamps_are_refused_by_families_not_trained_with_them(
    vlm: TransformersVLM, make_query: QueryFactory
) -> None:
    with pytest.raises(ConfigError, match="timestamps=true"):
        list(replace(vlm, timestamps=True).generate([make_query(0)]))


@pytest.mark.parametrize(
    ("vlm", "max_pixels", "frame", "space"),
    [
        ("internvl", None, (320, 240), (1000, 1000)),
        ("qwen3_vl", None, (320, 240), (1000, 1000)),
        ("qwen2_5_vl", None, (48, 32), (48, 32)),
        ("qwen2_5_vl", None, (50, 30), (48, 32)),
        ("qwen2_5_vl", None, (320, 240), (64, 48)),
        ("qwen2_5_vl", 1024, (320, 240), (32, 16)),
    ],
    indirect=["vlm"],
)
def test_the_space_of_boxes_depends_on_the_family(
    vlm: TransformersVLM, max_pixels: int | None, frame: tuple[int, int], space: tuple[int, int]
) -> None:
    handle = replace(vlm, max_pixels=max_pixels)
    assert handle.box_space(frame) == space
    if "qwen2_5" in vlm.checkpoint:  # the input of the vision tower has this size
        inputs = replace(vlm._load().frame_processor, max_pixels=max_pixels).prepare(
            [np.zeros((frame[1], frame[0], 3), dtype=np.uint8)]
        )  # type: ignore[type-var]
        assert inputs.tensors["image_grid_thw"][0].tolist() == [1, space[1] / 8, space[0] / 8]


@pytest.mark.parametrize("vlm", ["internvl"], indirect=True)
def test_a_box_is_mapped_to_the_frames_pixels(vlm: TransformersVLM, upright: Path) -> None:
    shown = Video("upright", upright, 25, 10.0)  # 64x128
    assert isinstance(vlm, Locator)
    assert vlm.to_frame(shown, (0.0, 250.0, 500.0, 1000.0)) == (0.0, 32.0, 32.0, 128.0)


@pytest.mark.parametrize("vlm", ["videollama3", "llava_onevision"], indirect=True)
def test_families_not_trained_to_give_boxes_refuse(vlm: TransformersVLM) -> None:
    with pytest.raises(ConfigError, match="was not trained to give boxes"):
        vlm.box_space((320, 240))


@each
def test_quantized_weights_in_bfloat16_answer(vlm: TransformersVLM, make_query: QueryFactory) -> None:
    handle = replace(vlm, quantization="nf4", dtype="bfloat16")
    text, numbers = base.answer(handle, [make_query(0, 5, max_new_tokens=2), make_query(0, 5, choices=("a", "c"))])
    assert isinstance(text, str)
    assert np.isclose(np.sum(numbers), 1)
    handle.release()


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'paligemma'.*internvl, qwen2_5_vl"):
        family_of(SimpleNamespace(model_type="paligemma"))


def test_every_family_is_tested() -> None:
    assert len(NAMES) == len(FAMILIES)


def test_tokens_are_compared_in_the_models_precision() -> None:
    """118 of the 2,352 values of a token of VideoLLaMA3-7B differ by a grey level: on average by 0.1003 / 255."""
    import torch

    frames = torch.full((2, 2, 4 * 588), 200 / 255 * 2 - 1)
    frames[1, 0, :118] += 2 / 255
    frames[1, 1] += 0.5
    inputs = VisionInputs({"pixel_values": frames.view(16, 588)}, (2, 2))
    exact, half = (compressed(inputs, dtype) for dtype in ("float32", "bfloat16"))
    assert exact.tensors["kept_tokens"].tolist() == [True, True, True, True]
    theirs = frames.bfloat16()
    assert not bool((theirs[1, 0] - theirs[0, 0]).abs().mean() * 255 > 0.1)
    assert half.tensors["kept_tokens"].tolist() == [True, True, False, True]
    assert (exact.tokens, half.tokens) == ((2, 2), (2, 1))
