"""VideoLLaMA3's original configuration and tensor names, said in transformers' native ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vaa.errors import VaaError
from vaa.models.checkpoints.shards import Targets

Config = Mapping[str, Any]

# What the original classes assume where config.json is silent.
_VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "attention_dropout": 0.0,
}
_TEXT = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps"),
    *("use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "attention_dropout"),
    *("use_sliding_window", "sliding_window", "max_window_layers"),
)
_THETA = 10000.0  # of the vision tower's rotary embedding, which no config.json says
_NAMES = (
    # Checkpoints of the authors' training code say `vision_encoder` twice; the released ones once.
    (
        r"model\.vision_encoder\.(?:vision_encoder\.)?((?:embeddings|encoder|post_layernorm)\..+)",
        r"model.vision_model.\1",
    ),
    (r"model\.mm_projector\.(readout\..+)", r"model.projector.\1"),
    (r"model\.((?:embed_tokens|layers|norm)\..+)", r"model.language_model.\1"),
    (r"(lm_head\.weight)", r"\1"),
)


def native(config: Config, video_token: int) -> Any:
    """The native VideoLlama3Config; `video_token` has no counterpart: the original marks videos' frames as images.

    Raises:
        VaaError: the checkpoint asks for something that the native class does not do.
    """
    from transformers import Qwen2Config, VideoLlama3Config, VideoLlama3VisionConfig

    check(config)
    vision = {key: config["vision_encoder_config"].get(key, default) for key, default in _VISION.items()}
    return VideoLlama3Config(
        vision_config=VideoLlama3VisionConfig(**vision, rope_parameters={"rope_type": "axial", "rope_theta": _THETA}),
        text_config=Qwen2Config(**_text(config)),
        image_token_id=int(config["image_token_index"]),
        video_token_id=video_token,
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
        architectures=["VideoLlama3ForConditionalGeneration"],
        dtype=config.get("torch_dtype"),
    )


def targets(name: str, _config: Config) -> Targets:
    """The native tensor that one original tensor fills; none for a name not known."""
    for rule, native_name in _NAMES:
        if found := re.fullmatch(rule, name):
            return ((found.expand(native_name), None),)
    return ()


def check(config: Config) -> None:
    """See that it is whole, and what the native class does.

    Raises:
        VaaError: something is missing, or there is another projector.
    """
    lacking = [key for key in (*_TEXT[:5], "image_token_index", "vision_encoder_config") if config.get(key) is None]
    if lacking:
        raise VaaError(f"config.json: it has no {', '.join(lacking)}.")
    projector = config.get("mm_projector_type", "mlp2x_gelu")
    if projector != "mlp2x_gelu":
        raise VaaError(f"config.json: mm_projector_type={projector}: no released VideoLLaMA3 has it, only mlp2x_gelu.")


def _text(config: Config) -> dict[str, Any]:
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    scaling.pop("type", None)
    values = {key: config[key] for key in _TEXT if config.get(key) is not None}
    rope = {"rope_type": kind, "rope_theta": config.get("rope_theta", 10000.0), **scaling}
    return {**values, "rope_parameters": rope, "tie_word_embeddings": bool(config.get("tie_word_embeddings", False))}
