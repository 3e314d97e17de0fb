from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from making import make_clip
from queries import choose_query
from tiny_checkpoints import make

from vaa.errors import VaaError
from vaa.models import base
from vaa.models.base import Locator
from vaa.models.transformers import prefill
from vaa.models.transformers.families import FAMILIES, family
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import ChatQuery, GenerateQuery, Query, Video

CONF = Path(__file__).parents[3] / "conf/vlm"
HERE = {
    "dtype": "float32",
    "device_map": "cpu",
    "batch_size": 3,
    "decoder": "decord",
    "workers": 0,
    "resize": "pil",
    "max_pixels": None,
}
NAMES = ["internvl", "qwen2_5_vl", "qwen3_vl", "videollama3", "llava_onevision"]
GRID = ["qwen2_5_vl", "qwen3_vl", "videollama3"]
Asker = Callable[..., Query]


@pytest.fixture(scope="session")
def folders(internvl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: make(name, tmp_path_factory.mktemp(name)) for name in NAMES if name != "internvl"}
    return {**made, "internvl": internvl}


@pytest.fixture
def vlm(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TransformersVLM:
    """The yaml of a family, on a tiny checkpoint of its architecture."""
    fields = yaml.safe_load((CONF / f"{request.param}.yaml").read_text())
    assert fields.pop("_target_") == "vaa.models.transformers.vlm.TransformersVLM"
    return TransformersVLM(**fields | HERE | {"checkpoint": str(folders[request.param])})


@pytest.mark.parametrize("vlm", ["internvl"], indirect=True)
@pytest.mark.parametrize("shape", [(64, 64), (33, 91), (240, 320)])
def test_internvl_sees_to_the_last_bit_what_its_processor_shows(vlm: TransformersVLM, shape: tuple[int, int]) -> None:
    frames = list(np.random.default_rng(0).integers(0, 256, (3, *shape, 3), dtype=np.uint8))
    eye = vlm._load().eye
    assert eye is not None
    (found,) = eye.see(frames).inputs.values()
    expected = eye.processor(images=frames, crop_to_patches=False, return_tensors="pt")["pixel_values"]
    assert found.dtype == expected.dtype
    assert (found == expected).all()
    unscaled = replace(eye, processor=type(eye.processor)(**eye.processor.to_dict() | {"do_rescale": False}))
    (found,) = unscaled.see(frames).inputs.values()
    assert (
        found == unscaled.processor(images=frames, crop_to_patches=False, return_tensors="pt")["pixel_values"]
    ).all()
    assert float(found.max()) > 100


each = pytest.mark.parametrize("vlm", NAMES, indirect=True)
grid = pytest.mark.parametrize("vlm", GRID, indirect=True)


@pytest.fixture(scope="session")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "upright.mp4", 25, size=(64, 128))


@pytest.fixture
def ask(clip: Path) -> Asker:
    def query(*frames: int, text: str = "what happens here", path: Path = clip, **fields: Any) -> ChatQuery:
        if "choices" in fields:
            return choose_query(query(*frames, text=text, path=path), fields["choices"])
        fields = {"max_new_tokens": 8} | fields
        return GenerateQuery(
            purpose="verdict", video=Video("clip", path, 25, 10.0), at=0, frames=frames, text=text, **fields
        )

    return query


@each
def test_a_batch_of_any_mixture_is_answered_as_each_question_alone(
    vlm: TransformersVLM, ask: Asker, upright: Path
) -> None:
    queries = [
        ask(0, 5),
        ask(20),
        ask(),
        ask(3, 4, path=upright),
        ask(0, 1, 24, text="Frame <image>\nFrame <image> runs <image>"),
        ask(text="a car", system="Normal scenes"),
        ask(7, text="a person walks in the street " * 5),
        ask(24, path=upright),
    ]
    batched = list(vlm.generate(queries))
    assert batched == [next(vlm.generate([query])) for query in queries]
    assert len(set(batched)) > len(queries) - 2


@each
def test_prompts_read_a_few_at_a_time_are_answered_as_together(
    vlm: TransformersVLM, ask: Asker, upright: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [ask(24, text="a person walks in the street " * 5), ask(0, 5), ask(20, path=upright)]
    words = [ask(), ask(text="a car", system="Normal scenes"), ask(text="a person walks in the street " * 5)]
    mixed = [ask(7), ask(), ask(12, path=upright)]
    queries, read = [*shown, *words, *mixed], list[int]()
    together = list(vlm.generate(queries))
    monkeypatch.setattr(prefill, "_AT_ONCE", {"cpu": 21})
    inner = vlm._load().model.get_decoder()
    watched = inner.register_forward_pre_hook(
        lambda _, __, given: read.append(len(given["inputs_embeds"])), with_kwargs=True
    )
    found = list(vlm.generate(queries))
    watched.remove()
    assert found == together
    assert read.count(1) >= 6  # else of three rows


@each
def test_what_is_shown_counts_in_its_order(vlm: TransformersVLM, ask: Asker) -> None:
    choices = ("a", "c", "s", "Anomalous")
    first, other, turned = vlm.choose(
        [ask(0, 24, choices=choices), ask(0, 12, choices=choices), ask(24, 0, choices=choices)]
    )
    for one, two in ((first, other), (first, turned)):
        assert np.abs(np.asarray(one) - np.asarray(two)).max() > 1e-6


@each
def test_as_many_tokens_as_the_model_has_features(vlm: TransformersVLM, ask: Asker, upright: Path) -> None:
    import torch

    from vaa.video import sources

    held = vlm._load()
    frames = [
        sources.frames(ask(path=path).video, [k], "decord")[0] for path, k in ((ask().video.path, 0), (upright, 9))
    ]
    for shown in ([frames[0]], frames, [frames[1], frames[0], frames[1]]):
        seen = held.eye.see(shown)
        with torch.inference_mode():
            features = held.model.get_image_features(**seen.inputs, return_dict=True).pooler_output
        assert [len(one) for one in features] == list(seen.tokens)
        text = held.read(ask(*range(len(shown))), seen.tokens)
        ids = held.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids.count(held.model.config.image_token_id) == sum(seen.tokens)


@grid
def test_a_frame_has_no_more_pixels_than_it_may(vlm: TransformersVLM) -> None:
    huge, tokens = np.zeros((320, 512, 3), dtype=np.uint8), []
    eye = vlm._load().eye
    assert eye is not None
    for most in (None, 4096, 1024):
        seen = replace(eye, max_pixels=most).see([huge])
        assert seen.inputs["pixel_values"].shape[0] * 8 * 8 <= (most or 4096)
        tokens.append(seen.tokens)
    assert tokens[0] == tokens[1] > tokens[2]


@pytest.mark.parametrize("vlm", ["internvl", "llava_onevision"], indirect=True)
def test_torch_resizes_for_internvl_and_nobody_else(vlm: TransformersVLM, ask: Asker) -> None:
    quick = replace(vlm, resize="torch")
    assert quick.identity == f"{vlm.identity.removesuffix(' greedy')} resize torch greedy"
    if vlm._load().eye.config.model_type == "internvl":  # type: ignore[union-attr]
        assert list(quick.generate([ask(3)])) != []
    else:
        with pytest.raises(VaaError, match=r"vlm\.resize=torch.*its own processor.*encoder\.resize=torch"):
            list(quick.generate([ask(3)]))


@pytest.mark.parametrize("vlm", ["internvl", "llava_onevision"], indirect=True)
def test_where_every_frame_is_one_tile_a_limit_would_change_nothing(vlm: TransformersVLM, ask: Asker) -> None:
    with pytest.raises(VaaError, match=r"max_pixels=4096: every frame is 32x32 for .* give max_pixels=null"):
        list(replace(vlm, max_pixels=4096).generate([ask(0)]))


@pytest.mark.parametrize(
    ("vlm", "expected"),
    [
        ("qwen3_vl", "<user><0.5 seconds>{0}<2.4 seconds>{1}what?<assistant>"),
        ("videollama3", "<user>Time 0.5s:{0},Time 2.4s:{1}\nwhat?<assistant>"),
    ],
    indirect=["vlm"],
)
def test_the_time_of_each_frame_is_written_before_it(vlm: TransformersVLM, ask: Asker, expected: str) -> None:
    held = vlm._load()
    start, end = ("<|vision_start|>", "<|vision_end|>") if "seconds" in expected else ("", "")
    marks = [f"{start}{'<|image_pad|>' * count}{end}" for count in (2, 3)]
    assert held.read(ask(5, 24, text="what?"), (2, 3)) == expected.format(*marks)
    woven = held.read(ask(5, 24, text="A: <image>\nB: <image> what?"), (2, 3))
    assert [piece in woven for piece in ("A: ", marks[0] + "\nB: ", marks[1] + " what?")] == [True] * 3
    plain = replace(vlm, timestamps=False)
    assert "2.4" not in plain._load().read(ask(5, 24, text="what?"), (2, 3))
    assert plain.identity != vlm.identity


@pytest.mark.parametrize("vlm", ["internvl", "qwen2_5_vl", "llava_onevision"], indirect=True)
def test_who_cannot_read_times_says_so(vlm: TransformersVLM, ask: Asker) -> None:
    with pytest.raises(VaaError, match=r"timestamps=true: .* was not trained"):
        list(replace(vlm, timestamps=True).generate([ask(0)]))


@pytest.mark.parametrize(
    ("vlm", "most", "frame", "space"),
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
def test_boxes_have_a_space_of_their_own(
    vlm: TransformersVLM, most: int | None, frame: tuple[int, int], space: tuple[int, int]
) -> None:
    handle = replace(vlm, max_pixels=most)
    assert handle.box_space(frame) == space
    if "qwen2_5" in vlm.checkpoint:  # what the vision tower sees is of this size
        seen = replace(vlm._load().eye, max_pixels=most).see([np.zeros((frame[1], frame[0], 3), dtype=np.uint8)])  # type: ignore[type-var]
        assert seen.inputs["image_grid_thw"][0].tolist() == [1, space[1] / 8, space[0] / 8]


@pytest.mark.parametrize("vlm", ["internvl"], indirect=True)
def test_a_box_is_mapped_to_the_frames_pixels(vlm: TransformersVLM, upright: Path) -> None:
    shown = Video("upright", upright, 25, 10.0)  # 64x128
    assert isinstance(vlm, Locator)
    assert vlm.to_frame(shown, (0.0, 250.0, 500.0, 1000.0)) == (0.0, 32.0, 32.0, 128.0)


@pytest.mark.parametrize("vlm", ["videollama3", "llava_onevision"], indirect=True)
def test_who_gives_no_boxes_says_so(vlm: TransformersVLM) -> None:
    with pytest.raises(VaaError, match="was not trained to give boxes"):
        vlm.box_space((320, 240))


@each
def test_quantized_weights_of_low_precision_answer_too(vlm: TransformersVLM, ask: Asker) -> None:
    handle = replace(vlm, quantization="nf4", dtype="bfloat16")
    text, numbers = base.answer(handle, [ask(0, 5, max_new_tokens=2), ask(0, 5, choices=("a", "c"))])
    assert isinstance(text, str)
    assert np.isclose(np.sum(numbers), 1)
    handle.release()


def test_an_unknown_family_is_answered_with_the_known() -> None:
    with pytest.raises(VaaError, match="'paligemma' is not a VLM that vaa can show frames to: internvl, qwen2_5_vl"):
        family(SimpleNamespace(model_type="paligemma"))


def test_every_family_is_tested() -> None:
    assert len(NAMES) == len(FAMILIES)
