from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import original_internvl2 as tiny
import pytest
from cpu_models import cpu_vlm
from test_conf import composed
from test_run import metrics, run
from tiny_checkpoints import check_refused

from vaa.errors import ModelError
from vaa.models.checkpoints import convert, internvl2, layout
from vaa.models.transformers import loading
from vaa.models.transformers.vlm import TransformersVLM
from vaa.types import GenerateQuery, Video

Maker = Callable[..., tuple[Path, Any]]
SHARED = ["internvl2-original-tiny", "internvl2-original-tiny-dynamic-rope"]
# The reference was computed on one processor. Others add the terms of a sum in another order: with AVX-512, AVX2 and
# SSE kernels, one and two threads, features (up to 1.1) differed by up to 5e-7 and logits (up to 7.3) by up to 2e-5.
# Two frames in the other order change them by 0.9 and 6.3.
FEATURES_WITHIN, LOGITS_WITHIN = 5e-6, 2e-4


def load(folder: Path, attention: str = "eager", **fields: Any) -> Any:
    from transformers import AutoModelForImageTextToText

    options = {**loading.loading_options("cpu", "float32", "none"), "attn_implementation": attention, **fields}
    return loading.load(AutoModelForImageTextToText, str(folder), None, **options)


def outputs(model: Any, pixels: Any, ids: Any, mask: Any) -> tuple[Any, Any]:
    import torch

    with torch.inference_mode():
        features = model.get_image_features(pixels).pooler_output
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask, pixel_values=pixels, position_ids=places).logits
    return features, logits[mask.bool()]


def inputs(model: Any) -> tuple[Any, Any, Any]:
    import torch

    image, tokens = model.config.image_token_id, model.config.image_seq_length
    row = [25, *[image] * tokens, 27, 28, *[image] * tokens, 29, 30]
    ids = torch.tensor([row, [22, 22, *row[:-2]]])
    torch.manual_seed(1)
    return torch.randn(4, 3, 32, 32), ids, torch.tensor([[1] * len(row), [0, 0, *[1] * (len(row) - 2)]])


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    def made(name: str = "original", **variant: Any) -> tuple[Path, Any]:
        return tmp_path / name, tiny.make(tmp_path / name, **variant)

    return made


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_shared_checkpoints_reproduce_the_outputs_of_the_original_code(shared: Path, name: str, attention: str) -> None:
    import torch
    from safetensors.torch import load_file

    folder = shared / "checkpoints" / name
    expected = load_file(folder / "reference.safetensors")
    pixels, ids, mask = (expected[key] for key in ("pixel_values", "input_ids", "attention_mask"))
    native = internvl2.native_config(layout.read_config(internvl2.LAYOUT, folder), 7)
    model = layout.load_model(internvl2.LAYOUT, folder, native, attn_implementation=attention, dtype=torch.float32)
    for _ in range(2):  # a dynamic rope must not change the second pass
        features, logits = outputs(model, pixels, ids, mask)
        assert float((features - expected["expected_image_features"]).abs().max()) <= FEATURES_WITHIN
        assert float((logits - expected["expected_logits"][mask.bool()]).abs().max()) <= LOGITS_WITHIN
        generated = model.generate(
            input_ids=ids, attention_mask=mask, pixel_values=pixels, do_sample=False, max_new_tokens=8
        )
        # Given embeddings, the original `generate` returns the beginning-of-text token first.
        assert torch.equal(generated[:, ids.shape[1] :], expected["expected_greedy_ids"][:, 1:])


@pytest.mark.parametrize(
    "variant",
    [
        {"text": {"num_key_value_heads": 1}},
        {"text": {"num_key_value_heads": 4}},
        {"text": {"bias": True}},
        {"text": {"rope_scaling": {"type": "dynamic", "factor": 3.0}}},
        {"text": {"rope_scaling": {"type": "linear", "factor": 2.0}}},
        {"text": {"tie_word_embeddings": True}},
        {"vision": {"qk_normalization": True, "norm_type": "rms_norm", "qkv_bias": False}},
        {"vision": {"num_hidden_layers": 3}, "select_layer": -2},
        {"shards": 3},
        {
            "architecture": "Qwen2ForCausalLM",
            "text": {"use_sliding_window": False, "sliding_window": 32768, "max_window_layers": 1},
            "shards": 2,
        },
        {"architecture": "LlamaForCausalLM", "text": {"mlp_bias": False, "attention_bias": False}},
        {
            "architecture": "Phi3ForCausalLM",
            "text": {
                "rope_scaling": {"type": "su", "short_factor": [1.5] * 8, "long_factor": [3.0] * 8},
                "original_max_position_embeddings": 256,
                "sliding_window": 262144,
            },
        },
    ],
    ids=str,
)
def test_variants_are_loaded_exactly(make: Maker, variant: dict[str, Any]) -> None:
    import torch

    folder, native = make(**variant)
    native.set_attn_implementation("eager")
    model = load(folder)
    state = model.state_dict()
    assert state.keys() == native.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in native.state_dict().items())
    args = inputs(native)
    for output, expected in zip(outputs(model, *args), outputs(native, *args), strict=True):
        assert torch.equal(output, expected)


def test_select_layer_counts_vision_layers_from_the_last(make: Maker) -> None:
    import torch

    folder, _ = make(vision={"num_hidden_layers": 3}, select_layer=-2)
    model = load(folder)
    pixels, _, _ = inputs(model)
    with torch.inference_mode():
        features = model.get_image_features(pixels).pooler_output
        model.model.vision_tower.encoder.layer = model.model.vision_tower.encoder.layer[:2]
        model.config.vision_feature_layer = -1
        assert torch.equal(features, model.get_image_features(pixels).pooler_output)


def test_a_dynamic_rope_is_reset_for_every_text(make: Maker) -> None:
    import torch

    folder, _ = make(text={"max_position_embeddings": 16, "rope_scaling": {"type": "dynamic", "factor": 2.0}})
    model = load(folder)
    long, longer = torch.arange(5, 30)[None], torch.arange(5, 60)[None]

    def generate(ids: Any) -> list[int]:
        tokens = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=6)
        return [int(token) for token in tokens[0, ids.shape[1] :]]

    with torch.inference_mode():
        first = model(input_ids=long).logits
        answers = generate(long)
        assert not torch.equal(
            model(input_ids=longer).logits[:, : long.shape[1]], first
        )  # beyond max_position_embeddings
        assert torch.equal(model(input_ids=long).logits, first)
        assert generate(long) == answers


def test_texts_are_tokenized_like_sentencepiece(make: Maker) -> None:
    import sentencepiece
    from transformers import AutoTokenizer

    folder, _ = make()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    special = {token["content"]: int(number) for number, token in settings["added_tokens_decoder"].items()}
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def tokenize(text: str) -> list[int]:
        ids: list[int] = []
        for part in filter(None, re.split("(" + "|".join(map(re.escape, special)) + ")", text)):
            ids += [special[part]] if part in special else pieces.encode(part)
        return ids

    tokenizer = loading.load(AutoTokenizer, str(folder), None)
    for text in (
        "a person walks",
        "  two spaces lead, \n a line, 123 digits",
        "<s><|im_start|>user\nFrame1: <img><IMG_CONTEXT></img>\nwhat happens?<|im_end|><|im_start|>assistant\n",
        "你好 é ☃",
    ):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == tokenize(text)
        assert tokenizer.decode(ids) == text
    assert [tokenizer.start_image_token, tokenizer.end_image_token] == ["<img>", "</img>"]
    assert tokenizer.context_image_token_id == special["<IMG_CONTEXT>"]


SYSTEM = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"  # noqa: RUF001


@pytest.mark.parametrize(
    ("architecture", "turns"),
    [
        (
            "InternLM2ForCausalLM",
            "<s><|im_start|>system\n{}<|im_end|><|im_start|>user\nhi<|im_end|><|im_start|>assistant\n",
        ),
        ("Qwen2ForCausalLM", "<|im_start|>system\n{}<|im_end|><|im_start|>user\nhi<|im_end|><|im_start|>assistant\n"),
        ("Phi3ForCausalLM", "<|system|>\n{}<|end|><|user|>\nhi<|end|><|assistant|>\n"),
    ],
)
def test_the_chat_template_is_the_original_codes(make: Maker, architecture: str, turns: str) -> None:
    from transformers import AutoTokenizer

    folder, _ = make(architecture=architecture)
    tokenizer = loading.load(AutoTokenizer, str(folder), None)
    chat = [{"role": "user", "content": "hi"}]
    options = {"tokenize": False, "add_generation_prompt": True}
    assert tokenizer.apply_chat_template(chat, **options) == turns.format(SYSTEM)
    text = tokenizer.apply_chat_template([{"role": "system", "content": "be brief"}, *chat], **options)
    assert text == turns.format("be brief")
    model = load(folder)
    end = "<|end|>" if "Phi3" in architecture else "<|im_end|>"
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids(end)


def vlm(folder: Path, **fields: Any) -> TransformersVLM:
    return cpu_vlm(folder, **{"batch_size": 2, **fields})


def query(clip: Path, *frames: int, text: str = "what happens here") -> GenerateQuery:
    return GenerateQuery(
        purpose="verdict", video=Video("clip", clip, 25, 10.0), at=0, frames=frames, text=text, max_new_tokens=8
    )


def test_a_converted_checkpoint_answers_like_the_original(make: Maker, clip: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    folder, native = make(shards=2)
    target = tmp_path / "new/native"
    assert internvl2.main([str(folder), str(target)]) == 0
    model = AutoModelForImageTextToText.from_pretrained(target)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in native.state_dict().items())
    assert model.config.image_token_id == native.config.image_token_id
    queries = [
        query(clip, 0, 5),
        query(clip, 20),
        query(clip),
        query(clip, 3, 4, text="Frame1: <image>\nFrame2: <image>\nwhat?"),
    ]
    answers = list(vlm(folder).generate(queries))
    assert len(set(answers)) > 1
    assert list(vlm(target).generate(queries)) == answers
    assert sorted(path.name for path in target.parent.iterdir()) == ["native"]


def test_a_large_conversion_is_split_into_shards(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    folder, native = make()
    monkeypatch.setattr(convert, "_SHARD", 100_000)
    convert.convert(internvl2.LAYOUT, str(folder), tmp_path / "native")
    sizes = [file.stat().st_size for file in (tmp_path / "native").glob("*.safetensors")]
    assert len(sizes) > 2
    assert max(sizes) < 120_000
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "native")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in native.state_dict().items())


def test_a_source_without_a_tokenizer_is_converted_with_a_notice(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoConfig

    source = str(shared / "checkpoints" / SHARED[0])
    assert internvl2.main([source, str(tmp_path / "one")]) == 0
    assert "SOURCE has no tokenizer" in capsys.readouterr().out
    assert internvl2.main([source, str(tmp_path / "two"), "--image-token", "7"]) == 0
    assert "no tokenizer" not in capsys.readouterr().out
    assert AutoConfig.from_pretrained(tmp_path / "two").image_token_id == 7
    with pytest.raises(ModelError, match="no tokenizer"):
        load(Path(source))


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_an_original_checkpoint_is_quantized_while_loading(make: Maker, clip: Path, quantization: str) -> None:
    folder, _ = make()
    model = vlm(folder, quantization=quantization)
    answers = list(model.generate([query(clip, 0, 5), query(clip)]))
    assert all(isinstance(answer, str) for answer in answers)
    network = model._load().model
    kinds = {type(module).__name__ for module in network.modules()}
    assert ("Linear8bitLt" if quantization == "int8" else "Linear4bit") in kinds
    model.release()


def test_a_frame_becomes_one_square_tile_with_imagenet_statistics(make: Maker) -> None:
    from PIL import Image
    from transformers import AutoImageProcessor

    folder, _ = make()
    processor = loading.load(AutoImageProcessor, str(folder), None)
    frame = np.random.default_rng(0).integers(0, 256, (48, 90, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(frame).resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    expected = (small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    pixels = processor(images=[frame], return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(pixels, expected.transpose(2, 0, 1)[None], atol=1e-5)


def without_tensor(folder: Path, name: str) -> None:
    tensors = tensors_of(folder)
    del tensors[name]
    tiny.save(folder, tensors, 1)


def tensors_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def with_unknown_tensor(folder: Path) -> None:
    tiny.save(
        folder, tensors_of(folder) | {"language_model.model.layers.2.surprise": tensors_of(folder)["mlp1.0.bias"]}, 1
    )


def with_fewer_rows(folder: Path) -> None:
    tensors = tensors_of(folder)
    name = "language_model.model.layers.0.attention.wqkv.weight"
    tiny.save(folder, tensors | {name: tensors[name][:-16].clone()}, 1)


def with_fewer_layers_in_the_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["llm_config"]["num_hidden_layers"] = 1
    (folder / "config.json").write_text(json.dumps(config))


def set_config(**fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **fields}))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: without_tensor(f, "mlp1.3.bias"), r"1 missing: model\.multi_modal_projector\.linear_2\.bias"),
        (
            lambda f: without_tensor(f, "vision_model.encoder.layers.1.attn.qkv.bias"),
            r"3 missing: .*1\.attention\.k_proj",
        ),
        (with_unknown_tensor, r"1 unknown: language_model\.model\.layers\.2\.surprise"),
        (with_fewer_rows, r"3 of another shape: language_model\.model\.layers\.0\.attention\.wqkv\.weight"),
        (with_fewer_layers_in_the_config, r"9 unknown: language_model\.model\.layers\.1"),
        (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b"cut"), "not a complete safetensors file"),
        (lambda f: (f / "tokenizer.model").unlink(), r"original: no tokenizer"),
        (set_config(ps_version="v1"), "ps_version=v1"),
        (set_config(force_image_size=64), "force_image_size=64 beside vision_config.image_size=32"),
        (set_config(template="vicuna"), "template=vicuna is unknown; known templates are internlm2-chat"),
        (set_config(llm_config={**tiny.TEXT, "architectures": ["Gemma2ForCausalLM"]}), "names Gemma2ForCausalLM"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_reason(
    make: Maker, damage: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = make()
    damage(folder)
    check_refused(folder, message, load, internvl2.main, capsys)


def test_damaged_shards_are_refused_with_the_reason(make: Maker) -> None:
    folder, _ = make(shards=2)
    shard = folder / "model-00002-of-00002.safetensors"
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing; it contains \w+"):
        load(folder)
    shard.write_bytes(content)
    index = folder / "model.safetensors.index.json"
    weights = json.loads(index.read_text())
    del weights["weight_map"]["mlp1.3.bias"]
    index.write_text(json.dumps(weights))
    with pytest.raises(ModelError, match=r"disagree on mlp1\.3\.bias"):
        load(folder)


def test_the_command_prints_the_error_and_exits_with_its_status(
    internvl: Path, make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message, status in (
        (["missing", "target"], "'missing': no such folder", 6),
        (["nowhere/at-all", "target"], "'nowhere/at-all' is no folder here, the hub is not reached", 6),
        ([str(internvl), str(tmp_path / "target")], "not in InternVL2's original layout", 6),
        ([str(make()[0]), str(tmp_path)], "exists already", 8),
    ):
        assert internvl2.main(arguments) == status
        assert message in capsys.readouterr().err


TOWER = {"qk_normalization": True, "norm_type": "rms_norm", "qkv_bias": False}  # InternViT-6B
SIZES = {
    "internvl2": ("InternLM2ForCausalLM", {}),
    "internvl2_1b": ("Qwen2ForCausalLM", {}),
    "internvl2_2b": ("InternLM2ForCausalLM", {}),
    "internvl2_4b": ("Phi3ForCausalLM", {}),
    "internvl2_26b": ("InternLM2ForCausalLM", TOWER),
    "internvl2_40b": ("LlamaForCausalLM", TOWER),
    "internvl2_76b": ("LlamaForCausalLM", TOWER),
}
ON_CPU = ("dtype=float32", "device_map=cpu")


@pytest.mark.parametrize("choice", SIZES)
def test_every_size_answers(make: Maker, clip: Path, choice: str) -> None:
    from hydra.utils import instantiate

    architecture, vision = SIZES[choice]
    folder, _ = make(architecture=architecture, vision=vision)
    overrides = [f"vlm.{field}" for field in (*ON_CPU, f"checkpoint={folder}")]
    model = instantiate(composed([f"vlm={choice}", *overrides]).vlm, _convert_="all")
    (answer,) = model.generate([query(clip, 0, 5, text="Frame1: <image>\nFrame2: <image>\nwhat happens?")])
    assert isinstance(answer, str)
    assert composed([f"vlm={choice}"]).vlm.checkpoint.startswith("OpenGVLab/InternVL2-")


def test_run_py_accepts_an_original_checkpoint(make: Maker, clip: Path, clip_checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = make(shards=2)
    (tmp_path / "clips").mkdir()
    clip.rename(tmp_path / "clips/clip.mp4")
    overrides = [f"vlm.{field}" for field in (*ON_CPU, f"checkpoint={folder}")]
    overrides += ["encoder=clip_vit_b16", f"encoder.checkpoint={clip_checkpoint}", "encoder.device_map=cpu"]
    overrides += ["prompt.max_new_tokens=4", "max_unparsed=1", "plots=false", "cache=null"]
    run(tmp_path, "method=corevad", "data=folder", "data.root=clips", "vlm=internvl2_2b", *overrides)
    (result,) = metrics(tmp_path)
    assert (result["videos"], result["failed"], result["model_queries"]) == (1, 0, 1)
