"""Tiny checkpoints in InternVL2's original layout, made by the reverse conversion of a random native model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

IMAGE_TOKENS = ["<img>", "</img>", "<IMG_CONTEXT>"]
CHAT = ["<|im_start|>", "<|im_end|>"]
WORDS = ["what happens here in the street", "a person  walks, runs, fights 123\n two lines", "你好 书生"] * 30
ARCHITECTURES = {
    "InternLM2ForCausalLM": "internlm2-chat",
    "Qwen2ForCausalLM": "Hermes-2",
    "LlamaForCausalLM": "internlm2-chat",
    "Phi3ForCausalLM": "phi3-chat",
}
TEXT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "bias": False,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
}
VISION = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
    "norm_type": "layer_norm",
    "qkv_bias": True,
    "qk_normalization": False,
    "layer_norm_eps": 1e-6,
    "drop_path_rate": 0.1,
    "num_channels": 3,
    "hidden_act": "gelu",
}


def make(
    folder: Path,
    architecture: str = "InternLM2ForCausalLM",
    text: Mapping[str, Any] | None = None,
    vision: Mapping[str, Any] | None = None,
    shards: int = 1,
    **config: Any,
) -> Any:
    """Write tokenizer, config and weights; returns the native model they were made from."""
    import torch

    from vaa.models.checkpoints import internvl2

    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        "model_type": "internvl_chat",
        "architectures": ["InternVLChatModel"],
        "tie_word_embeddings": True,
        "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
        "torch_dtype": "float32",
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "force_image_size": 32,
        "template": ARCHITECTURES[architecture],
        "vision_config": {**VISION, **(vision or {})},
        "llm_config": {**TEXT, "architectures": [architecture], **(text or {})},
        **config,
    }
    size, image = write_tokenizer(folder, architecture)
    whole["llm_config"]["vocab_size"] = size
    (folder / "config.json").write_text(json.dumps(whole))
    torch.manual_seed(0)
    from transformers import InternVLForConditionalGeneration

    model = InternVLForConditionalGeneration(internvl2.native_config(whole, image)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2 + (weight.ndim == 1))
    save(folder, dict(originals(model, architecture)), shards)
    return model


def save(folder: Path, tensors: Mapping[str, Any], shards: int) -> None:
    from safetensors.torch import save_file

    if shards == 1:
        save_file(dict(tensors), folder / "model.safetensors")
        return
    files = {name: f"model-{k % shards + 1:05d}-of-{shards:05d}.safetensors" for k, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: tensor for name, tensor in tensors.items() if files[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def originals(model: Any, architecture: str) -> Iterator[tuple[str, Any]]:
    """(Original name, tensor) of the native model's tensors, fused as in the original."""
    import torch

    state, config = model.state_dict(), model.config
    internlm = architecture == "InternLM2ForCausalLM"
    for name, tensor in state.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if ".k_proj." in name or ".v_proj." in name:
            if "vision" in name or internlm:
                continue
        elif ".q_proj." in name and ("vision" in name or internlm):
            parts = [state[name.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
            if "vision" in name:
                yield _vision_name(name.replace("attention.q_proj", "attn.qkv")), torch.cat(parts)
            else:
                yield (
                    _text_name(name.replace("self_attn.q_proj", "attention.wqkv")),
                    _by_group(config.text_config, *parts),
                )
            continue
        yield (
            (_vision_name(name) if "vision" in name or "projector" in name else _text_name(name, internlm)),
            tensor.clone(),
        )


def _by_group(config: Any, query: Any, key: Any, value: Any) -> Any:
    import torch

    groups, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
    rows = [part.reshape(groups, -1, size, *part.shape[1:]) for part in (query, key, value)]
    return torch.cat(rows, dim=1).reshape(-1, *query.shape[1:])


def _vision_name(name: str) -> str:
    for native, original in (
        ("model.vision_tower.", "vision_model."),
        ("cls_token", "class_embedding"),
        ("position_embeddings", "position_embedding"),
        ("patch_embeddings.projection", "patch_embedding"),
        ("encoder.layer.", "encoder.layers."),
        ("lambda_", "ls"),
        ("attention.projection_layer", "attn.proj"),
        ("attention.", "attn."),
        ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"),
        ("model.multi_modal_projector.layer_norm", "mlp1.0"),
        ("model.multi_modal_projector.linear_1", "mlp1.1"),
        ("model.multi_modal_projector.linear_2", "mlp1.3"),
    ):
        name = name.replace(native, original)
    return name


def _text_name(name: str, internlm: bool = True) -> str:
    name = name.replace("model.language_model.", "language_model.model.").replace("lm_head", "language_model.lm_head")
    if internlm:
        for native, original in (
            ("language_model.lm_head", "language_model.output"),
            ("embed_tokens", "tok_embeddings"),
            ("self_attn.o_proj", "attention.wo"),
            ("mlp.gate_proj", "feed_forward.w1"),
            ("mlp.up_proj", "feed_forward.w3"),
            ("mlp.down_proj", "feed_forward.w2"),
            ("input_layernorm", "attention_norm"),
            ("post_attention_layernorm", "ffn_norm"),
        ):
            name = name.replace(native, original)
    return name


def write_tokenizer(folder: Path, architecture: str) -> tuple[int, int]:
    """Write a tokenizer like the one in the repository of this architecture; its size and the id of <IMG_CONTEXT>."""
    if architecture == "InternLM2ForCausalLM":
        return _sentencepiece(folder)
    from making import make_tokenizer

    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<|user|>", "<|assistant|>", "<|end|>", *CHAT], special_tokens=True)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    del settings["extra_special_tokens"]
    file.write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text("{{ 'the tokenizer brings a template that is not the model\\'s' }}")
    return len(tokenizer), tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")


def _sentencepiece(folder: Path) -> tuple[int, int]:
    """Like InternLM2's: chat tokens replace unused pieces, image tokens follow the last piece."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=380,
        model_type="bpe",
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        split_digits=True,
        user_defined_symbols=[f"[UNUSED_TOKEN_{k}]" for k in range(len(CHAT))],
        minloglevel=3,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    size = pieces.get_piece_size()
    added = {0: "<unk>", 1: "<s>", 2: "</s>"}
    added |= {pieces.piece_to_id(f"[UNUSED_TOKEN_{k}]"): token for k, token in enumerate(CHAT)}
    added |= dict(enumerate(IMAGE_TOKENS, start=size))
    kind = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    settings = {
        "added_tokens_decoder": {str(number): {"content": token, **kind} for number, token in added.items()},
        "additional_special_tokens": [*CHAT, *IMAGE_TOKENS],
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": "not the model's",
        "model_max_length": 8192,
        "tokenizer_class": "InternLM2Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return size + len(IMAGE_TOKENS), size + len(IMAGE_TOKENS) - 1
