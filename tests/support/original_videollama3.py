"""A tiny random VideoLLaMA3 in its authors' layout, and its forward pass in plain torch as a reference."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"]
LATER = ["<image>", "<|stream_start|>", "<|stream_end|>"]  # added after the others, as in the released tokenizer
WORDS = "what happens here in the street a person walks runs fights Time 0.5s: user assistant system"
VISION = {  # bitsandbytes needs multiples of 64 columns
    "model_type": "videollama3_vision_encoder",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 8,
}
CONFIG = {
    "architectures": ["Videollama3Qwen2ForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_videollama3.Videollama3Qwen2Config",
        "AutoModelForCausalLM": "modeling_videollama3.Videollama3Qwen2ForCausalLM",
    },
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 128,
    "max_position_embeddings": 4096,
    "max_window_layers": 2,
    "mm_projector_type": "mlp2x_gelu",
    "model_type": "videollama3_qwen2",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_cache": True,
    "use_sliding_window": False,
    "use_token_compression": True,
    "vision_encoder": None,
}
PROCESSOR = {
    "auto_map": {"AutoImageProcessor": "image_processing_videollama3.Videollama3ImageProcessor"},
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Videollama3ImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "max_tokens": 64,
    "min_tokens": 4,
    "patch_size": 8,
    "resample": 3,
    "rescale_factor": 1 / 255,
}

Tensors = dict[str, Any]


def make(
    folder: Path, shards: int = 1, twice: bool = False, vision: Mapping[str, Any] | None = None, **config: Any
) -> Tensors:
    """Write tokenizer, configs and weights; returns original name -> tensor.

    With `twice` the files name them as the authors' training code does.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    ids = write_tokenizer(folder)
    whole = {
        **CONFIG,
        "vision_encoder_config": {**VISION, **(vision or {})},
        "vocab_size": len(ids) + 5,  # more embedding rows than tokens, as in the released ones
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "image_token_index": ids["<image>"],
        **config,
    }
    (folder / "config.json").write_text(json.dumps(whole))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    generation = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05}
    ends = {"eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]], "pad_token_id": ids["<|endoftext|>"]}
    (folder / "generation_config.json").write_text(json.dumps(generation | ends))
    torch.manual_seed(0)
    tensors = {
        name: torch.randn(shape) * 0.2 + (1.0 if len(shape) == 1 and "norm" in name and "weight" in name else 0.0)
        for name, shape in shapes(whole)
    }
    save(folder, {_twice(name) if twice else name: tensor for name, tensor in tensors.items()}, shards)
    return tensors


def save(folder: Path, tensors: Mapping[str, Any], shards: int = 1) -> None:
    from original_internvl2 import save as save_shards

    save_shards(folder, tensors, shards)


def _twice(name: str) -> str:
    return name.replace("vision_encoder.", "vision_encoder.vision_encoder.")


def shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(Name, shape) of every tensor of the original class."""
    vision, width, inner = config["vision_encoder_config"], config["hidden_size"], config["intermediate_size"]
    vision_width, vision_inner = vision["hidden_size"], vision["intermediate_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    encoder = "model.vision_encoder."
    yield from _linear(
        encoder + "embeddings.patch_embedding", (vision_width, 3, vision["patch_size"], vision["patch_size"])
    )
    for layer in (f"{encoder}encoder.layers.{k}." for k in range(vision["num_hidden_layers"])):
        for part in ("layer_norm1", "layer_norm2"):
            yield from _linear(layer + part, (vision_width,))
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{layer}self_attn.{part}", (vision_width, vision_width))
        yield from _linear(layer + "mlp.fc1", (vision_inner, vision_width))
        yield from _linear(layer + "mlp.fc2", (vision_width, vision_inner))
    yield from _linear(encoder + "post_layernorm", (vision_width,))
    yield from _linear("model.mm_projector.readout.0", (width, vision_width))
    yield from _linear("model.mm_projector.readout.2", (width, width))
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for layer in (f"model.layers.{k}." for k in range(config["num_hidden_layers"])):
        yield layer + "input_layernorm.weight", (width,)
        yield layer + "post_attention_layernorm.weight", (width,)
        for part, rows in (("q", width), ("k", keys), ("v", keys)):
            yield from _linear(f"{layer}self_attn.{part}_proj", (rows, width))
        yield layer + "self_attn.o_proj.weight", (width, width)
        yield layer + "mlp.gate_proj.weight", (inner, width)
        yield layer + "mlp.up_proj.weight", (inner, width)
        yield layer + "mlp.down_proj.weight", (width, inner)
    yield "model.norm.weight", (width,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], width)


def _linear(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write a byte-level vocabulary in Qwen2's files, special tokens after it; returns token -> id."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [WORDS] * 3, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    )
    bpe.model.save(str(folder))  # vocab.json and merges.txt
    ids = bpe.get_vocab()
    added = dict(enumerate([*SPECIAL, *LATER], start=len(ids)))
    kind = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    settings = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(number): {"content": token, **kind, "special": token in SPECIAL} for number, token in added.items()
        },
        "additional_special_tokens": SPECIAL[1:],
        "bos_token": None,
        "chat_template": "{{ 'the tokenizer brings a template that is not the processor\\'s' }}",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "processor_class": "Videollama3Qwen2Processor",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "added_tokens.json").write_text(json.dumps({token: number for number, token in added.items()}))
    return ids | {token: number for number, token in added.items()}


def frame_size(height: int, width: int, frames: int) -> tuple[int, int]:
    """(height, width) of a frame of a video of `frames`: whole 2x2 blocks of patches, one limit for all frames."""
    block = 2 * PROCESSOR["patch_size"]
    largest, smallest = PROCESSOR["max_tokens"] * block**2 // frames, PROCESSOR["min_tokens"] * block**2
    new_height, new_width = round(height / block) * block, round(width / block) * block
    if new_height * new_width > largest:
        shrink = math.sqrt(height * width / largest)
        new_height, new_width = (math.floor(side / shrink / block) * block for side in (height, width))
    if new_height * new_width < smallest:
        grow = math.sqrt(smallest / (height * width))
        new_height, new_width = (math.ceil(side * grow / block) * block for side in (height, width))
    return new_height, new_width


def patches(frame: Any, size: tuple[int, int]) -> Any:
    """A frame (height, width, 3) as one row (colour, y, x) for each patch; four consecutive rows are a 2x2 block."""
    from PIL import Image

    side = PROCESSOR["patch_size"]
    small = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC), dtype=np.float64)
    rows = [
        (small[y : y + side, x : x + side] / 255 * 2 - 1).transpose(2, 0, 1).ravel()
        for top in range(0, size[0], 2 * side)
        for left in range(0, size[1], 2 * side)
        for y in (top, top + side)
        for x in (left, left + side)
    ]
    return np.stack(rows)


def features(tensors: Tensors, config: Mapping[str, Any], pixels: Any, grid: tuple[int, int]) -> Any:
    """Visual tokens of one frame (tokens, hidden); `grid` is (rows, columns) of patches, four patches a token."""
    import torch
    from torch.nn import functional

    vision, part = config["vision_encoder_config"], _Layers(tensors, "model.vision_encoder.")
    hidden = part.linear("embeddings.patch_embedding", pixels)
    angles = _angles(grid, vision["hidden_size"] // vision["num_attention_heads"])
    for k in range(vision["num_hidden_layers"]):
        layer = part.at(f"encoder.layers.{k}.")
        normed = layer.norm("layer_norm1", hidden)
        query, key, value = (
            layer.linear(f"self_attn.{letter}_proj", normed).unflatten(-1, (vision["num_attention_heads"], -1))
            for letter in "qkv"
        )
        weights = torch.einsum("qhd,khd->hqk", _rotate(query, angles), _rotate(key, angles)) / math.sqrt(
            query.shape[-1]
        )
        mixed = torch.einsum("hqk,khd->qhd", weights.softmax(-1), value).flatten(1)
        hidden = hidden + layer.linear("self_attn.out_proj", mixed)
        inner = functional.gelu(layer.linear("mlp.fc1", layer.norm("layer_norm2", hidden)), approximate="tanh")
        hidden = hidden + layer.linear("mlp.fc2", inner)
    merged = part.norm("post_layernorm", hidden).unflatten(0, (-1, 4)).mean(1)  # a frame's 2x2 blocks
    projector = _Layers(tensors, "model.mm_projector.readout.")
    return projector.linear("2", functional.gelu(projector.linear("0", merged)))


def logits(tensors: Tensors, config: Mapping[str, Any], ids: Sequence[int], visual: Any) -> Any:
    """Logits (ids, vocabulary); the rows of `visual` replace the embeddings of <image>."""
    import torch
    from torch.nn import functional

    part, heads = _Layers(tensors, "model."), config["num_attention_heads"]
    tokens = torch.tensor(ids)
    hidden = tensors["model.embed_tokens.weight"][tokens].clone()
    hidden[tokens == config["image_token_index"]] = visual
    size = config["hidden_size"] // heads
    frequencies = config["rope_theta"] ** (-torch.arange(0, size, 2) / size)
    angles = torch.arange(len(ids))[:, None] * frequencies
    later = torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1)
    for k in range(config["num_hidden_layers"]):
        layer = part.at(f"layers.{k}.")
        normed = layer.rms_norm("input_layernorm", hidden, config["rms_norm_eps"])
        query, key, value = (
            layer.linear(f"self_attn.{letter}_proj", normed).unflatten(-1, (-1, size)) for letter in "qkv"
        )
        key, value = (states.repeat_interleave(heads // config["num_key_value_heads"], 1) for states in (key, value))
        scores = torch.einsum("qhd,khd->hqk", _rotate(query, angles), _rotate(key, angles)) / math.sqrt(size)
        mixed = torch.einsum("hqk,khd->qhd", scores.masked_fill(later, -torch.inf).softmax(-1), value).flatten(1)
        hidden = hidden + layer.linear("self_attn.o_proj", mixed)
        normed = layer.rms_norm("post_attention_layernorm", hidden, config["rms_norm_eps"])
        gate = functional.silu(layer.linear("mlp.gate_proj", normed))
        hidden = hidden + layer.linear("mlp.down_proj", gate * layer.linear("mlp.up_proj", normed))
    last = part.rms_norm("norm", hidden, config["rms_norm_eps"])
    return last @ tensors["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"].T


class _Layers:
    """The tensors whose names begin with `prefix`, as layers."""

    def __init__(self, tensors: Tensors, prefix: str) -> None:
        self.tensors, self.prefix = tensors, prefix

    def at(self, name: str) -> _Layers:
        return _Layers(self.tensors, self.prefix + name)

    def linear(self, name: str, x: Any) -> Any:
        output = x @ self.tensors[f"{self.prefix}{name}.weight"].flatten(1).T
        bias = self.tensors.get(f"{self.prefix}{name}.bias")
        return output if bias is None else output + bias

    def norm(self, name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * self.tensors[f"{self.prefix}{name}.weight"] + self.tensors[f"{self.prefix}{name}.bias"]

    def rms_norm(self, name: str, x: Any, epsilon: float) -> Any:
        return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * self.tensors[f"{self.prefix}{name}.weight"]


def _angles(grid: tuple[int, int], size: int) -> Any:
    """Rotary angles (patches, size / 2), block by block: those of the patch's row, then those of its column."""
    import torch

    frequencies = 10000.0 ** (-torch.arange(0, size // 2, 2) / (size // 2))
    positions = [
        (y, x)
        for top in range(0, grid[0], 2)
        for left in range(0, grid[1], 2)
        for y in (top, top + 1)
        for x in (left, left + 1)
    ]
    return torch.cat(
        [torch.tensor([position[k] for position in positions])[:, None] * frequencies for k in (0, 1)], dim=-1
    )


def _rotate(x: Any, angles: Any) -> Any:
    """Rotate each pair (k, k + size / 2) of x (positions, heads, size) by its angle."""
    import torch

    first, second = x.chunk(2, dim=-1)
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
