"""InternVL2's original configuration and tensor names, said in transformers' native ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vaa.errors import VaaError
from vaa.models.checkpoints.shards import Part, Targets

Config = Mapping[str, Any]

# What the original classes assume where config.json is silent.
_VISION = {
    "hidden_size": 3200,
    "num_hidden_layers": 48,
    "num_attention_heads": 25,
    "intermediate_size": 12800,
    "hidden_act": "gelu",
    "norm_type": "rms_norm",
    "layer_norm_eps": 1e-6,
    "image_size": 224,
    "patch_size": 14,
    "num_channels": 3,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
}
_TEXT = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps", "head_dim"),
    *("use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "attention_bias", "mlp_bias"),
    *("use_sliding_window", "sliding_window", "max_window_layers"),
    *("original_max_position_embeddings", "partial_rotary_factor"),
)
_KINDS = {
    "InternLM2ForCausalLM": "llama",  # the same network, its tensors fused and renamed
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Phi3ForCausalLM": "phi3",
}
_EYE = r"vision_model\.encoder\.layers\.(\d+)\."
_TOWER = r"model.vision_tower.encoder.layer.\1."
_LAYER = r"language_model\.model\.layers\.(\d+)\."
_TEXTS = r"model.language_model.layers.\1."
_EVERYWHERE = (
    (r"vision_model\.embeddings\.class_embedding", r"model.vision_tower.embeddings.cls_token"),
    (r"vision_model\.embeddings\.position_embedding", r"model.vision_tower.embeddings.position_embeddings"),
    (
        r"vision_model\.embeddings\.patch_embedding\.(\w+)",
        r"model.vision_tower.embeddings.patch_embeddings.projection.\1",
    ),
    (_EYE + r"ls([12])", _TOWER + r"lambda_\2"),
    (_EYE + r"norm1\.(\w+)", _TOWER + r"layernorm_before.\2"),
    (_EYE + r"norm2\.(\w+)", _TOWER + r"layernorm_after.\2"),
    (_EYE + r"attn\.proj\.(\w+)", _TOWER + r"attention.projection_layer.\2"),
    (_EYE + r"attn\.([qk]_norm)\.weight", _TOWER + r"attention.\2.weight"),
    (_EYE + r"mlp\.(fc[12]\.\w+)", _TOWER + r"mlp.\2"),
    (r"mlp1\.0\.(\w+)", r"model.multi_modal_projector.layer_norm.\1"),
    (r"mlp1\.1\.(\w+)", r"model.multi_modal_projector.linear_1.\1"),
    (r"mlp1\.3\.(\w+)", r"model.multi_modal_projector.linear_2.\1"),
)
_INTERNLM2 = (
    (r"language_model\.model\.tok_embeddings\.weight", r"model.language_model.embed_tokens.weight"),
    (r"language_model\.output\.weight", r"lm_head.weight"),
    (r"language_model\.model\.norm\.weight", r"model.language_model.norm.weight"),
    (_LAYER + r"attention\.wo\.(\w+)", _TEXTS + r"self_attn.o_proj.\2"),
    (_LAYER + r"feed_forward\.w1\.weight", _TEXTS + r"mlp.gate_proj.weight"),
    (_LAYER + r"feed_forward\.w3\.weight", _TEXTS + r"mlp.up_proj.weight"),
    (_LAYER + r"feed_forward\.w2\.weight", _TEXTS + r"mlp.down_proj.weight"),
    (_LAYER + r"attention_norm\.weight", _TEXTS + r"input_layernorm.weight"),
    (_LAYER + r"ffn_norm\.weight", _TEXTS + r"post_attention_layernorm.weight"),
)
_NATIVE_TEXT = (
    (r"language_model\.lm_head\.weight", r"lm_head.weight"),
    (r"language_model\.model\.(.+)", r"model.language_model.\1"),
)
_FUSED = (
    (re.compile(_EYE + r"attn\.qkv\.(\w+)"), _TOWER + r"attention.{}_proj.\2"),
    (re.compile(_LAYER + r"attention\.wqkv\.(\w+)"), _TEXTS + r"self_attn.{}_proj.\2"),
)


def text_class(config: Config) -> str:
    """The original class of the language model, e.g. InternLM2ForCausalLM.

    Raises:
        VaaError: it is none of InternVL2's.
    """
    name = str((config["llm_config"].get("architectures") or ["nothing"])[0])
    if name not in _KINDS:
        raise VaaError(
            f"llm_config.architectures names {name}; InternVL2's language models are {', '.join(_KINDS)} "
            "(1B: Qwen2; 2B, 8B, 26B: InternLM2; 4B: Phi3; 40B, 76B: Llama)."
        )
    return name


def native(config: Config, image_token: int) -> Any:
    """The native InternVLConfig; `image_token` is the id of <IMG_CONTEXT>, which the original config does not hold.

    Raises:
        VaaError: the checkpoint asks for something that the native class does not do.
    """
    from transformers import AutoConfig, InternVLConfig, InternVLVisionConfig

    original = config["vision_config"]
    vision = {key: original.get(key, default) for key, default in _VISION.items()}
    normed = bool(original.get("qk_normalization", True))
    _refuse(config, vision, normed)
    lacking = [key for key in _TEXT[:5] if key not in config["llm_config"]]
    if lacking:
        raise VaaError(f"config.json: llm_config has no {', '.join(lacking)}.")
    side = vision["image_size"] // vision["patch_size"]
    ratio = float(config.get("downsample_ratio", 0.5))
    return InternVLConfig(
        vision_config=InternVLVisionConfig(
            **vision, attention_bias=bool(original.get("qkv_bias", False)), use_qk_norm=normed
        ),
        text_config=AutoConfig.for_model(_KINDS[text_class(config)], **_text(config)),
        image_token_id=image_token,
        image_seq_length=int(side**2 * ratio**2),
        downsample_ratio=ratio,
        vision_feature_layer=int(config.get("select_layer", -1)),
        tie_word_embeddings=bool(config["llm_config"].get("tie_word_embeddings", False)),
        architectures=["InternVLForConditionalGeneration"],
        dtype=config.get("torch_dtype"),
    )


def targets(name: str, config: Config) -> Targets:
    """The native tensors that one original tensor fills, and which part of it each is; none for a name not known."""
    text = config["llm_config"]
    internlm = text_class(config) == "InternLM2ForCausalLM"
    for pattern, native_name in _FUSED[: 2 if internlm else 1]:
        if found := pattern.fullmatch(name):
            split, heads = found.expand(native_name), _heads(text) if "wqkv" in name else None
            return tuple((split.format(letter), Part(index, heads)) for index, letter in enumerate("qkv"))
    for rule, native_name in (*_EVERYWHERE, *(_INTERNLM2 if internlm else _NATIVE_TEXT)):
        if found := re.fullmatch(rule, name):
            return ((found.expand(native_name), None),)
    return ()


def _heads(text: Config) -> tuple[int, int]:
    groups = int(text.get("num_key_value_heads") or text["num_attention_heads"])
    return groups, int(text["num_attention_heads"]) // groups


def _text(config: Config) -> dict[str, Any]:
    text = config["llm_config"]
    scaling = dict(text.get("rope_scaling") or {})
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    scaling.pop("type", None)
    values = {key: text[key] for key in _TEXT if text.get(key) is not None}
    if text_class(config) == "InternLM2ForCausalLM":
        values["attention_bias"] = bool(text.get("bias", True))
    rope = {"rope_type": "longrope" if kind in ("su", "yarn") else kind, "rope_theta": text.get("rope_theta", 10000.0)}
    tied = bool(text.get("tie_word_embeddings", False))
    return {**values, "rope_parameters": {**rope, **scaling}, "tie_word_embeddings": tied}


def _refuse(config: Config, vision: Mapping[str, Any], normed: bool) -> None:
    size = config.get("force_image_size") or vision["image_size"]
    refusals = {
        "ps_version=v1 (transposed pixel shuffle)": config.get("ps_version", "v1") == "v1",
        f"force_image_size={size} beside vision_config.image_size={vision['image_size']}": size != vision["image_size"],
        "use_backbone_lora or use_llm_lora": config.get("use_backbone_lora") or config.get("use_llm_lora"),
        f"qk_normalization with layer_norm_eps={vision['layer_norm_eps']}": normed and vision["layer_norm_eps"] != 1e-6,
        f"norm_type={vision['norm_type']}": vision["norm_type"] not in ("layer_norm", "rms_norm"),
    }
    found = [what for what, so in refusals.items() if so]
    if found:
        raise VaaError(f"The checkpoint has {', '.join(found)}: no released InternVL2 does, and it is not supported.")
