from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import original_videollama3 as tiny
import pytest
import yaml
from hydra.utils import instantiate
from test_conf import composed
from tiny_checkpoints import check_refused

from vaa.models.checkpoints import videollama3
from vaa.models.transformers import loading
from vaa.models.transformers.vision_features import encode_frames
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import GenerateQuery, Video
from vaa.video import sources

Maker = Callable[..., tuple[Path, tiny.Tensors]]
CONF = Path(__file__).parents[3] / "conf/vlm/videollama3.yaml"
SYSTEM = (
    "You are VideoLLaMA3 created by Alibaba DAMO Academy, "
    "a helpful assistant to help people understand images and videos."
)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    def made(name: str = "original", **variant: Any) -> tuple[Path, tiny.Tensors]:
        return tmp_path / name, tiny.make(tmp_path / name, **variant)

    return made


def load(folder: Path, attention: str = "eager") -> Any:
    from transformers import AutoModelForImageTextToText

    options = {**loading.loading_options("cpu", "float32", "none"), "attn_implementation": attention}
    return loading.load(AutoModelForImageTextToText, str(folder), None, **options)


def vlm(folder: Path, **changes: Any) -> TransformersVLM:
    """The model of conf/vlm/videollama3.yaml on another checkpoint."""
    fields = yaml.safe_load(CONF.read_text(encoding="utf-8")) | {"dtype": "float32", "device_map": "cpu"}
    fields |= {"workers": 0, "resize": "pil", "decoder": "decord", "batch_size": 2, "checkpoint": str(folder)}
    fields |= {"max_visual_tokens": None, "compress_tokens": False, "vllm": None}
    model: TransformersVLM = instantiate({**fields, **changes}, _convert_="all")
    return model


def query(clip: Path, *frames: int, text: str = "what happens here", **fields: Any) -> GenerateQuery:
    return GenerateQuery(
        purpose="verdict",
        video=Video("clip", clip, 25, 10.0),
        at=0,
        frames=frames,
        text=text,
        **{"max_new_tokens": 8, **fields},
    )


def config_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"twice": True, "shards": 3},
        {"tie_word_embeddings": True, "num_key_value_heads": 1},
        {"num_key_value_heads": 4, "vision": {"num_hidden_layers": 1}},
    ],
    ids=str,
)
def test_an_original_checkpoint_gives_the_outputs_of_the_original_code(
    make: Maker, clip: Path, variant: dict[str, Any], attention: str
) -> None:
    """The reference is tests/support/original_videollama3.py: plain torch, from original tensor names and pixels."""
    import torch

    folder, tensors = make(**variant)
    config = config_of(folder)
    loaded = vlm(
        folder, attention=attention, max_pixels=64 * 16**2 // 3
    )._load()  # the limit of three frames of a video
    shown = query(clip, 0, 12, 24)
    frames = list(sources.frames(shown.video, shown.frames, "decord"))
    vision = loaded.frame_processor.prepare(frames)  # type: ignore[union-attr]
    size = tiny.frame_size(64, 96, 3)
    grid = (size[0] // 8, size[1] // 8)
    pixels = [torch.tensor(tiny.patches(frame, size), dtype=torch.float32) for frame in frames]
    assert float((vision.tensors["pixel_values"] - torch.cat(pixels)).abs().max()) < 1e-5
    assert vision.tokens == (grid[0] * grid[1] // 4,) * 3
    ids = loaded.tokenizer(loaded.chat_text(shown, vision.tokens), add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        features = [tiny.features(tensors, config, part, grid) for part in pixels]
        outputs = loaded.model.get_image_features(**vision.tensors, return_dict=True).pooler_output
        assert all(float((one - two).abs().max()) < 1e-4 for one, two in zip(outputs, features, strict=True))
        expected = tiny.logits(tensors, config, ids, torch.cat(features))
        logits = loaded.model(input_ids=torch.tensor([ids]), **vision.tensors).logits[0]
    assert float((logits - expected).abs().max()) < 1e-3
    assert float(expected.std()) > 1
    reordered = tiny.logits(tensors, config, ids, torch.cat(features[::-1]))
    assert float((reordered - expected).abs().max()) > 0.1  # frames in the wrong order would be detected


def test_the_frames_of_a_query_share_its_tokens_like_in_the_original_processor(make: Maker) -> None:
    folder, _ = make()
    processor = vlm(folder, max_pixels=None, max_visual_tokens=64)._load().frame_processor
    assert processor is not None
    draw = np.random.default_rng(4)
    for _ in range(200):
        n, height, width = int(draw.integers(1, 8)), int(draw.integers(16, 120)), int(draw.integers(16, 120))
        size = tiny.frame_size(height, width, n)
        grids = processor.prepare([np.zeros((height, width, 3), dtype=np.uint8)] * n).tensors["image_grid_thw"]
        assert grids.tolist() == [[1, size[0] // 8, size[1] // 8]] * n, (n, height, width)


def similar_frames(draw: np.random.Generator, n: int, height: int, width: int) -> list[Any]:
    """Frames that differ from those before by a few grey levels in some places, or not at all."""
    frames = [draw.integers(0, 250, (height, width, 3), dtype=np.uint8)]
    for _ in range(n - 1):
        change = draw.random((height, width, 3)) < draw.choice([0.0, 0.02, 0.05, 0.2])
        change[: height // 2] &= bool(draw.integers(2))
        frames.append(frames[-1] + change)
    return frames


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tokens_that_hardly_change_are_dropped_as_by_the_original_model(make: Maker, dtype: str) -> None:
    """Compared with the rule stated block by block, for 200 queries."""
    import torch

    folder, _ = make()
    plain = vlm(folder, max_pixels=None, dtype=dtype)._load().frame_processor
    processor = vlm(folder, max_pixels=None, dtype=dtype, compress_tokens=True)._load().frame_processor
    assert plain is not None
    assert processor is not None
    draw, n_dropped = np.random.default_rng(5), 0
    for _ in range(200):
        frames = similar_frames(draw, int(draw.integers(1, 5)), 32, 48)
        every, inputs = plain.prepare(frames), processor.prepare(frames)
        blocks = every.tensors["pixel_values"].to(getattr(torch, dtype)).view(len(frames), every.tokens[0], -1)
        expected = []
        for k, frame in enumerate(blocks):
            new = [k == 0 or bool((a - b).abs().mean() * 255 > 0.1) for a, b in zip(frame, blocks[k - 1], strict=True)]
            expected.append(new if any(new) else [True, *new[1:]])
        assert inputs.tensors["kept_tokens"].tolist() == [kept for each in expected for kept in each]
        assert inputs.tokens == tuple(sum(each) for each in expected)
        n_dropped += sum(every.tokens) - sum(inputs.tokens)
    assert n_dropped > 300


def test_a_compressed_video_gives_the_outputs_of_the_original_code(make: Maker, tmp_path: Path) -> None:
    import torch

    folder, tensors = make()
    config, handle = config_of(folder), vlm(folder, max_pixels=None, attention="eager", compress_tokens=True)
    loaded, frames = handle._load(), similar_frames(np.random.default_rng(6), 3, 32, 48)
    vision = loaded.frame_processor.prepare(frames)  # type: ignore[union-attr]
    kept = vision.tensors["kept_tokens"].split(6)
    assert [len(mask) for mask in kept] == [6, 6, 6]
    assert sum(vision.tokens) < 18
    ids = loaded.tokenizer(loaded.chat_text(query(tmp_path, 0, 12, 24), vision.tokens), add_special_tokens=False)
    with torch.inference_mode():
        encoded = encode_frames(loaded.model, vision)
        pixels = [torch.tensor(tiny.patches(frame, (32, 48)), dtype=torch.float32) for frame in frames]
        whole = [tiny.features(tensors, config, part, (4, 6)) for part in pixels]
        features = torch.cat([one[mask] for one, mask in zip(whole, kept, strict=True)])
        assert float((torch.cat(encoded.features.pooler_output) - features).abs().max()) < 1e-4
        expected = tiny.logits(tensors, config, ids["input_ids"], features)
        inputs = torch.tensor([ids["input_ids"]])
        logits = loaded.model(input_ids=inputs, **encoded.arguments(range(3))).logits[0]
    assert float((logits - expected).abs().max()) < 1e-3


def test_queries_with_compressed_frames_are_answered_alone_like_in_a_batch(make: Maker, clip: Path) -> None:
    folder, _ = make()
    handle = vlm(folder, compress_tokens=True, max_visual_tokens=64)
    queries = [query(clip, 3, 3, 3), query(clip, 20), query(clip), query(clip, 3, 4), query(clip, 0, 12, 12, 24)]
    answers = list(handle.generate(queries))
    assert answers == [next(handle.generate([one])) for one in queries]
    assert answers != list(vlm(folder, max_visual_tokens=64).generate(queries))
    assert handle.identity != vlm(folder, max_visual_tokens=64).identity


def test_the_repetition_penalty_counts_the_answers_tokens_only(make: Maker, clip: Path) -> None:
    """As in the original, whose `generate` is given embeddings; compared with a loop over the tokens of the answer."""
    import torch

    folder, _ = make()
    handle = vlm(folder)
    loaded, asked = handle._load(), query(clip, 3, 20, text="what happens here in the street", max_new_tokens=12)
    loaded.model.generation_config.repetition_penalty = 3.0  # large, so that it changes the answer
    frames = list(sources.frames(asked.video, asked.frames, "decord"))
    vision = loaded.frame_processor.prepare(frames)  # type: ignore[union-attr]
    text = loaded.chat_text(asked, vision.tokens)
    ids, answers = loaded.tokenizer(text, add_special_tokens=False)["input_ids"], {}
    for counted in (0, len(ids)):  # what is counted of the prompt
        new: list[int] = []
        while len(new) < 12 and not set(new) & set(loaded.model.generation_config.eos_token_id):
            with torch.no_grad():
                scores = loaded.model(input_ids=torch.tensor([ids + new]), **vision.tensors).logits[0, -1]
            seen = torch.tensor(sorted({*ids[:counted], *new}), dtype=torch.long)
            scores[seen] = torch.where(scores[seen] < 0, scores[seen] * 3, scores[seen] / 3)
            new.append(int(scores.argmax()))
        answers[counted] = loaded.tokenizer.decode(new, skip_special_tokens=True)
    assert list(handle.generate([asked])) == [answers[0]]
    assert answers[0] != answers[len(ids)]
    longer = query(clip, text="what " * 200)  # pads the other row of the batch
    assert next(iter(handle.generate([asked, longer]))) == answers[0]


def test_every_tensor_gets_its_native_name(make: Maker) -> None:
    import torch

    folder, tensors = make(shards=2)
    state = load(folder).state_dict()
    assert len(state) == len(tensors)
    for native, original in (
        ("lm_head.weight", "lm_head.weight"),
        ("model.language_model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("model.language_model.layers.1.self_attn.k_proj.bias", "model.layers.1.self_attn.k_proj.bias"),
        ("model.projector.readout.2.weight", "model.mm_projector.readout.2.weight"),
        ("model.vision_model.encoder.layers.1.mlp.fc2.bias", "model.vision_encoder.encoder.layers.1.mlp.fc2.bias"),
        ("model.vision_model.post_layernorm.weight", "model.vision_encoder.post_layernorm.weight"),
    ):
        assert torch.equal(state[native], tensors[original])


def test_the_chat_template_is_the_original_processors(make: Maker, clip: Path) -> None:
    folder, _ = make()
    loaded = vlm(folder)._load()
    turns = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    frames = "Time 0.5s:<image><image>,Time 2.4s:<image>\n"
    assert loaded.chat_text(query(clip, 5, 24), (2, 1)) == turns.format(SYSTEM, frames + "what happens here")
    assert loaded.chat_text(query(clip, text="hi", system="be brief"), ()) == turns.format("be brief", "hi")
    parts = [{"type": "video"}, {"type": "image"}, {"type": "text", "text": "hi"}]
    chat = loaded.tokenizer.apply_chat_template([{"role": "user", "content": parts}], tokenize=False)
    assert chat.endswith("<|im_start|>user\n<|video_pad|>\n<image>\nhi<|im_end|>\n")


def test_special_tokens_have_the_ids_of_tokenizer_config_json(make: Maker) -> None:
    folder, _ = make()
    model, tokenizer = load(folder), vlm(folder)._load().tokenizer
    for number, token in json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"].items():
        assert tokenizer(token["content"], add_special_tokens=False)["input_ids"] == [int(number)]
    assert model.config.image_token_id == config_of(folder)["image_token_index"]
    assert tokenizer.convert_ids_to_tokens([model.config.image_token_id, model.config.video_token_id]) == [
        "<image>",
        "<|video_pad|>",
    ]
    assert model.generation_config.repetition_penalty == 1.05
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    text = "  a person\n walks 123 你好"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


@pytest.mark.parametrize(("height", "width"), [(64, 96), (240, 320), (20, 30), (33, 200)])
def test_a_frame_is_resized_like_a_single_image_of_the_original_processor(make: Maker, height: int, width: int) -> None:
    folder, _ = make()
    processor = vlm(folder, max_pixels=None)._load().frame_processor
    assert processor is not None
    (grid,) = processor.prepare([np.zeros((height, width, 3), dtype=np.uint8)]).tensors["image_grid_thw"]
    most = 64 * 8 * 8  # the image processor's limit, a quarter of a single video frame's
    expected = tiny.frame_size(height, width, 4)
    assert grid.tolist() == [1, expected[0] // 8, expected[1] // 8]
    assert expected[0] * expected[1] <= most


def test_a_converted_checkpoint_answers_like_the_original(
    make: Maker, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    folder, _ = make(shards=2)
    target = tmp_path / "new/native"
    assert videollama3.main([str(folder), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: native video_llama_3 checkpoint written.\n"
    assert config_of(target)["model_type"] == "video_llama_3"
    first, second = load(folder).state_dict(), load(target).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())
    queries = [query(clip, 0, 5), query(clip, 20), query(clip), query(clip, 3, 4, text="A: <image>\nB: <image>\nwhat?")]
    answers = list(vlm(folder).generate(queries))
    assert len(set(answers)) > 1
    assert list(vlm(target).generate(queries)) == answers
    assert sorted(path.name for path in target.parent.iterdir()) == ["native"]


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_an_original_checkpoint_is_quantized_while_loading(make: Maker, clip: Path, quantization: str) -> None:
    folder, _ = make()
    model = vlm(folder, quantization=quantization)
    (answer,) = model.generate([query(clip, 0, 5)])
    assert isinstance(answer, str)
    kinds = {type(module).__name__ for module in model._load().model.modules()}
    assert ("Linear8bitLt" if quantization == "int8" else "Linear4bit") in kinds
    model.release()


def changed(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **fields}))

    return change


def tensors_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def without_tensor(name: str) -> Callable[[Path], None]:
    return lambda folder: tiny.save(folder, {k: v for k, v in tensors_of(folder).items() if k != name})


def with_tensor(name: str) -> Callable[[Path], None]:
    return lambda folder: tiny.save(folder, tensors_of(folder) | {name: tensors_of(folder)["model.norm.weight"]})


def load_everything(folder: Path) -> None:
    from transformers import AutoImageProcessor

    loading.load(AutoImageProcessor, str(folder), None)
    load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_tensor("model.mm_projector.readout.2.bias"), r"1 missing: model\.projector\.readout\.2\.bias"),
        (without_tensor("lm_head.weight"), r"1 missing: lm_head\.weight"),
        (without_tensor("model.layers.0.self_attn.q_proj.bias"), r"1 missing: .*layers\.0\.self_attn\.q_proj\.bias"),
        (with_tensor("model.vision_encoder.head.weight"), r"1 unknown: model\.vision_encoder\.head\.weight"),
        (with_tensor("model.layers.2.input_layernorm.weight"), r"1 unknown: model\.layers\.2\.input_layernorm"),
        (with_tensor("model.vision_encoder.vision_encoder.post_layernorm.weight"), r"1 filled twice: .*post_layernorm"),
        (changed("config.json", intermediate_size=80), r"6 of another shape: .*mlp"),
        (changed("config.json", mm_projector_type="linear"), "mm_projector_type=linear"),
        (changed("config.json", vision_encoder_config=None), "config.json has no vision_encoder_config"),
        (changed("config.json", image_token_index=7), r"<image> is token \d+, but image_token_index is 7"),
        (changed("config.json", vocab_size=200), "<image>, .* not among the tokenizer's first 200 tokens"),
        (changed("preprocessor_config.json", patch_size=14), "patch_size is 14, but the vision encoder's is 8"),
        (
            changed("preprocessor_config.json", image_processor_type="Other"),
            "image_processor_type is not Videollama3ImageProcessor",
        ),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), r"preprocessor_config\.json: missing"),
        (lambda folder: (folder / "vocab.json").unlink(), r"original: no tokenizer"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_reason(
    make: Maker, damage: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = make()
    damage(folder)
    check_refused(folder, message, load_everything, videollama3.main, capsys)


def test_the_yaml_names_the_released_video_checkpoint() -> None:
    assert composed(["vlm=videollama3"]).vlm.checkpoint == "DAMO-NLP-SG/VideoLLaMA3-7B"
