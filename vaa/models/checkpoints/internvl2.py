"""The original `OpenGVLab/InternVL2-*` repositories in transformers' native InternVL class, without remote code.

`python -m vaa.models.checkpoints.internvl2 SOURCE TARGET` writes one as a native checkpoint.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.checkpoints import convert, layout
from vaa.models.checkpoints.layout import REQUIRED_TEXT_KEYS, Config, Layout, token_id
from vaa.models.checkpoints.shards import FusedPart, Targets

# Defaults of the original vision class for keys that config.json omits.
_VISION_DEFAULTS = {
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
_TEXT_KEYS = (
    *REQUIRED_TEXT_KEYS,
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps", "head_dim"),
    *("use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "attention_bias", "mlp_bias"),
    *("use_sliding_window", "sliding_window", "max_window_layers"),
    *("original_max_position_embeddings", "partial_rotary_factor"),
)
_MODEL_TYPES = {
    "InternLM2ForCausalLM": "llama",  # the same architecture with fused and renamed tensors
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Phi3ForCausalLM": "phi3",
}
# Tensor names: (pattern of the original name, native name).
_VISION_LAYER = r"vision_model\.encoder\.layers\.(\d+)\."
_NATIVE_VISION_LAYER = r"model.vision_tower.encoder.layer.\1."
_TEXT_LAYER = r"language_model\.model\.layers\.(\d+)\."
_NATIVE_TEXT_LAYER = r"model.language_model.layers.\1."
_VISION_NAMES = (
    (r"vision_model\.embeddings\.class_embedding", r"model.vision_tower.embeddings.cls_token"),
    (r"vision_model\.embeddings\.position_embedding", r"model.vision_tower.embeddings.position_embeddings"),
    (
        r"vision_model\.embeddings\.patch_embedding\.(\w+)",
        r"model.vision_tower.embeddings.patch_embeddings.projection.\1",
    ),
    (_VISION_LAYER + r"ls([12])", _NATIVE_VISION_LAYER + r"lambda_\2"),
    (_VISION_LAYER + r"norm1\.(\w+)", _NATIVE_VISION_LAYER + r"layernorm_before.\2"),
    (_VISION_LAYER + r"norm2\.(\w+)", _NATIVE_VISION_LAYER + r"layernorm_after.\2"),
    (_VISION_LAYER + r"attn\.proj\.(\w+)", _NATIVE_VISION_LAYER + r"attention.projection_layer.\2"),
    (_VISION_LAYER + r"attn\.([qk]_norm)\.weight", _NATIVE_VISION_LAYER + r"attention.\2.weight"),
    (_VISION_LAYER + r"mlp\.(fc[12]\.\w+)", _NATIVE_VISION_LAYER + r"mlp.\2"),
    (r"mlp1\.0\.(\w+)", r"model.multi_modal_projector.layer_norm.\1"),
    (r"mlp1\.1\.(\w+)", r"model.multi_modal_projector.linear_1.\1"),
    (r"mlp1\.3\.(\w+)", r"model.multi_modal_projector.linear_2.\1"),
)
_INTERNLM2_NAMES = (
    (r"language_model\.model\.tok_embeddings\.weight", r"model.language_model.embed_tokens.weight"),
    (r"language_model\.output\.weight", r"lm_head.weight"),
    (r"language_model\.model\.norm\.weight", r"model.language_model.norm.weight"),
    (_TEXT_LAYER + r"attention\.wo\.(\w+)", _NATIVE_TEXT_LAYER + r"self_attn.o_proj.\2"),
    (_TEXT_LAYER + r"feed_forward\.w1\.weight", _NATIVE_TEXT_LAYER + r"mlp.gate_proj.weight"),
    (_TEXT_LAYER + r"feed_forward\.w3\.weight", _NATIVE_TEXT_LAYER + r"mlp.up_proj.weight"),
    (_TEXT_LAYER + r"feed_forward\.w2\.weight", _NATIVE_TEXT_LAYER + r"mlp.down_proj.weight"),
    (_TEXT_LAYER + r"attention_norm\.weight", _NATIVE_TEXT_LAYER + r"input_layernorm.weight"),
    (_TEXT_LAYER + r"ffn_norm\.weight", _NATIVE_TEXT_LAYER + r"post_attention_layernorm.weight"),
)
_TEXT_NAMES = (  # of every other language model
    (r"language_model\.lm_head\.weight", r"lm_head.weight"),
    (r"language_model\.model\.(.+)", r"model.language_model.\1"),
)
_FUSED_VISION_NAME = (_VISION_LAYER + r"attn\.qkv\.(\w+)", _NATIVE_VISION_LAYER + r"attention.{}_proj.\2")
_FUSED_INTERNLM2_NAME = (_TEXT_LAYER + r"attention\.wqkv\.(\w+)", _NATIVE_TEXT_LAYER + r"self_attn.{}_proj.\2")

_IMAGE_TOKENS = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
# The original `chat` begins every conversation with this text; a query's own system text replaces it.
_SYSTEM = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"  # noqa: RUF001
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_TURNS = {  # before the role, between role and content, end of turn; unlike usual ChatML, no newline follows the end
    "internlm2-chat": ("<|im_start|>", "\\n", "<|im_end|>"),
    "Hermes-2": ("<|im_start|>", "\\n", "<|im_end|>"),
    "phi3-chat": ("<|", "|>\\n", "<|end|>"),
}


def native_config(config: Config, image_token: int) -> Any:
    """The native InternVLConfig; `image_token` is the id of <IMG_CONTEXT>, which the original config lacks.

    Raises:
        ModelError: the checkpoint uses a feature that the native class lacks.
    """
    from transformers import AutoConfig, InternVLConfig, InternVLVisionConfig

    original = config["vision_config"]
    vision = {key: original.get(key, default) for key, default in _VISION_DEFAULTS.items()}
    qk_norm = bool(original.get("qk_normalization", True))
    _check_supported(config, vision, qk_norm)
    missing = [key for key in REQUIRED_TEXT_KEYS if key not in config["llm_config"]]
    if missing:
        raise ModelError(f"config.json: llm_config has no {', '.join(missing)}.")
    side = vision["image_size"] // vision["patch_size"]
    ratio = float(config.get("downsample_ratio", 0.5))
    return InternVLConfig(
        vision_config=InternVLVisionConfig(
            **vision, attention_bias=bool(original.get("qkv_bias", False)), use_qk_norm=qk_norm
        ),
        text_config=AutoConfig.for_model(_MODEL_TYPES[_text_class(config)], **_text_config(config)),
        image_token_id=image_token,
        image_seq_length=int(side**2 * ratio**2),
        downsample_ratio=ratio,
        vision_feature_layer=int(config.get("select_layer", -1)),
        tie_word_embeddings=bool(config["llm_config"].get("tie_word_embeddings", False)),
        architectures=["InternVLForConditionalGeneration"],
        dtype=config.get("torch_dtype"),
    )


def native_tensors(name: str, config: Config) -> Targets:
    """The native tensors that an original tensor fills; empty for an unknown name."""
    text = config["llm_config"]
    internlm2 = _text_class(config) == "InternLM2ForCausalLM"
    for pattern, native_name in (_FUSED_VISION_NAME, _FUSED_INTERNLM2_NAME) if internlm2 else (_FUSED_VISION_NAME,):
        if match := re.fullmatch(pattern, name):
            template, groups = match.expand(native_name), _query_groups(text) if "wqkv" in name else None
            return tuple((template.format(letter), FusedPart(index, groups)) for index, letter in enumerate("qkv"))
    for pattern, native_name in (*_VISION_NAMES, *(_INTERNLM2_NAMES if internlm2 else _TEXT_NAMES)):
        if match := re.fullmatch(pattern, name):
            return ((match.expand(native_name), None),)
    return ()


def restart_rope(model: Any) -> Any:
    """Reset a dynamic rotary embedding at the beginning of every text; other models are returned unchanged.

    Beyond `max_position_embeddings` its frequencies grow with the longest text so far, and transformers keeps them, so
    an answer would depend on the texts before it.
    """
    text_model: Any = getattr(getattr(model, "model", None), "language_model", None)
    rope: Any = getattr(text_model, "rotary_emb", None)
    if getattr(rope, "rope_type", None) != "dynamic":
        return model

    def reset(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("cache", kwargs.get("past_key_values"))  # `cache` since transformers 5.24
        if cache is None or not cache.get_seq_length():
            rope.max_seq_len_cached = rope.original_max_seq_len
            rope.inv_freq = rope.original_inv_freq.clone()

    text_model.register_forward_pre_hook(reset, with_kwargs=True)
    return model


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if TARGET was written, else the exit status of the error."""
    return convert.main(LAYOUT, "vaa.models.checkpoints.internvl2", arguments)


def _matches(config: Config) -> bool:
    return config.get("model_type") == "internvl_chat" and config.keys() >= {"llm_config", "vision_config"}


def _text_class(config: Config) -> str:
    """The original class of the language model, such as InternLM2ForCausalLM."""
    name = str((config["llm_config"].get("architectures") or ["nothing"])[0])
    if name not in _MODEL_TYPES:
        raise ModelError(
            f"config.json: llm_config.architectures names {name}; InternVL2's language models are "
            f"{', '.join(_MODEL_TYPES)} (1B: Qwen2; 2B, 8B, 26B: InternLM2; 4B: Phi3; 40B, 76B: Llama)."
        )
    return name


def _text_config(config: Config) -> dict[str, Any]:
    text = config["llm_config"]
    rope_type, scaling = layout.rope_scaling(text)
    values = {key: text[key] for key in _TEXT_KEYS if text.get(key) is not None}
    if _text_class(config) == "InternLM2ForCausalLM":
        values["attention_bias"] = bool(text.get("bias", True))
    rope = {
        "rope_type": "longrope" if rope_type in ("su", "yarn") else rope_type,
        "rope_theta": text.get("rope_theta", 10000.0),
    }
    tied = bool(text.get("tie_word_embeddings", False))
    return {**values, "rope_parameters": {**rope, **scaling}, "tie_word_embeddings": tied}


def _check_supported(config: Config, vision: Mapping[str, Any], qk_norm: bool) -> None:
    size, epsilon = config.get("force_image_size") or vision["image_size"], vision["layer_norm_eps"]
    unsupported = {
        "ps_version=v1 (transposed pixel shuffle)": config.get("ps_version", "v1") == "v1",
        f"force_image_size={size} beside vision_config.image_size={vision['image_size']}": size != vision["image_size"],
        "use_backbone_lora or use_llm_lora": config.get("use_backbone_lora") or config.get("use_llm_lora"),
        f"qk_normalization with layer_norm_eps={epsilon}": qk_norm and epsilon != 1e-6,
        f"norm_type={vision['norm_type']}": vision["norm_type"] not in ("layer_norm", "rms_norm"),
    }
    present = [feature for feature, is_present in unsupported.items() if is_present]
    if present:
        raise ModelError(f"config.json: {', '.join(present)} is not supported; no released InternVL2 uses it.")


def _query_groups(text: Config) -> tuple[int, int]:
    """Number of key-value heads, and query heads for each of them."""
    groups = int(text.get("num_key_value_heads") or text["num_attention_heads"])
    return groups, int(text["num_attention_heads"]) // groups


def _native(config: Config, tokenizer: Any) -> Any:
    return native_config(config, tokenizer.context_image_token_id if tokenizer else layout.NO_TOKEN)


def _tokenizer(folder: Path, config: Config) -> Any:
    """The checkpoint's vocabulary with names for the image tokens and the chat template of the original code.

    Raises:
        ModelError: the tokenizer cannot be read or lacks image tokens, or the chat template's name is unknown.
    """
    from transformers import AutoTokenizer, LlamaTokenizer

    _text_class(config)  # an unsupported language model is reported before its tokenizer
    settings = layout.read_json(folder / "tokenizer_config.json")
    if str(settings.get("tokenizer_class")).startswith("InternLM2"):
        tokenizer_class, options = LlamaTokenizer, {"add_prefix_space": False}
    else:
        tokenizer_class, options = AutoTokenizer, {}
    tokenizer = layout.load_tokenizer(tokenizer_class, folder, extra_special_tokens=dict(_IMAGE_TOKENS), **options)
    if layout.misplaced_tokens(tokenizer, settings):
        tokenizer = _place_special_tokens(tokenizer, settings)
        layout.check_special_tokens(folder, tokenizer, settings)
    layout.check_tokens(folder, tokenizer, _IMAGE_TOKENS.values(), int(config["llm_config"].get("vocab_size", 0)))
    template = _chat_template(config)
    adds_bos = tokenizer.bos_token_id is not None and _adds_bos(tokenizer, settings)
    tokenizer.chat_template = ("{{ bos_token }}" if adds_bos else "") + template
    tokenizer.pad_token = tokenizer.pad_token or _turn(config)[2]
    return tokenizer


def _place_special_tokens(tokenizer: Any, settings: Mapping[str, Any]) -> Any:
    """The same tokenizer, with its special tokens replacing the SentencePiece pieces that have their ids."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {int(key): dict(token) for key, token in settings["added_tokens_decoder"].items()}
    pieces = {number: piece for piece, number in state["model"]["vocab"].items()}
    replacing = {number: token["content"] for number, token in added.items() if number in pieces}
    replaced = {pieces[number] for number in replacing} - set(replacing.values())
    state["model"]["vocab"] = {piece: number for number, piece in sorted((pieces | replacing).items())}
    state["model"]["merges"] = [pair for pair in state["model"]["merges"] if not replaced & {*pair, "".join(pair)}]
    state["added_tokens"] = [{"id": number, **token} for number, token in sorted(added.items())]
    names = {key: settings[key] for key in ("bos_token", "eos_token", "unk_token", "pad_token") if settings.get(key)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), extra_special_tokens=dict(_IMAGE_TOKENS), **names
    )


def _adds_bos(tokenizer: Any, settings: Mapping[str, Any]) -> bool:
    """Whether the original tokenizer adds its beginning-of-text token to a text."""
    if str(settings.get("tokenizer_class")).startswith(("InternLM2", "Llama")):
        return bool(settings.get("add_bos_token", True))
    return bool(tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id])


def _turn(config: Config) -> tuple[str, str, str]:
    name = str(config.get("template"))
    if name not in _TURNS:
        raise ModelError(f"config.json: template={name} is unknown; known templates are {', '.join(_TURNS)}.")
    return _TURNS[name]


def _chat_template(config: Config) -> str:
    """The conversation format of the original `chat`, in Jinja."""
    before, after, end = _turn(config)

    def turn(role: str, content: str) -> str:
        return f"{{{{ '{before}' + {role} + '{after}' + {content} + '{end}' }}}}"

    default, message = turn("'system'", f"'{_SYSTEM}'"), turn("message['role']", "message['content']")
    return (
        f"{{% if messages[0]['role'] != 'system' %}}{default}{{% endif %}}"
        f"{{% for message in messages %}}{message}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ '{before}assistant{after}' }}}}{{% endif %}}"
    )


def _image_processor(_folder: Path, config: Config) -> Any:
    """One square tile an image: bicubic, aspect ratio not preserved, ImageNet's mean and standard deviation."""
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    side = int(config.get("force_image_size") or config["vision_config"].get("image_size", 224))
    return GotOcr2ImageProcessorPil(
        size={"height": side, "width": side}, crop_to_patches=False, resample=3, **_IMAGENET
    )


def _generation_config(_folder: Path, config: Config, native: Any, tokenizer: Any) -> Any:
    """End-of-answer and padding tokens; an answer ends with the token that ends a turn, as in the original `chat`."""
    from transformers import GenerationConfig

    if tokenizer is None:
        text = native.text_config
        return GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    return GenerationConfig(eos_token_id=token_id(tokenizer, _turn(config)[2]), pad_token_id=tokenizer.pad_token_id)


LAYOUT = Layout(
    name="InternVL2",
    condition="model_type internvl_chat, llm_config and vision_config",
    matches=_matches,
    native_config=_native,
    native_tensors=native_tensors,
    tokenizer=_tokenizer,
    image_processor=_image_processor,
    generation_config=_generation_config,
    finish=restart_rope,
)

if __name__ == "__main__":
    sys.exit(main())
