"""The original `DAMO-NLP-SG/VideoLLaMA3-*` repositories in transformers' native class, without remote code.

`python -m vaa.models.checkpoints.videollama3 SOURCE TARGET` writes one as a native checkpoint.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.checkpoints import convert, layout
from vaa.models.checkpoints.layout import REQUIRED_TEXT_KEYS, Config, Layout, token_id
from vaa.models.checkpoints.shards import Targets

# Defaults of the original vision class for keys that config.json omits.
_VISION_DEFAULTS = {
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
_TEXT_KEYS = (
    *REQUIRED_TEXT_KEYS,
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "initializer_range", "rms_norm_eps"),
    *("use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "attention_dropout"),
    *("use_sliding_window", "sliding_window", "max_window_layers"),
)
_VISION_ROPE_THETA = 10000.0  # of the original code; config.json has no key for it
_TENSOR_NAMES = (  # (pattern of the original name, native name)
    # The authors' training code writes `vision_encoder` twice, the released checkpoints once.
    (
        r"model\.vision_encoder\.(?:vision_encoder\.)?((?:embeddings|encoder|post_layernorm)\..+)",
        r"model.vision_model.\1",
    ),
    (r"model\.mm_projector\.(readout\..+)", r"model.projector.\1"),
    (r"model\.((?:embed_tokens|layers|norm)\..+)", r"model.language_model.\1"),
    (r"(lm_head\.weight)", r"\1"),
)

_TOKENS = {"image_token": "<image>", "video_token": "<|video_pad|>"}
# The original processor's `add_system_prompt`, which its documentation and URF use.
_SYSTEM = (
    "You are VideoLLaMA3 created by Alibaba DAMO Academy, "
    "a helpful assistant to help people understand images and videos."
)
_CONTENT_PART = (
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% elif part['type'] == 'video' %}{{ '<|video_pad|>\\n' }}{% endif %}"
)
_CHAT_TEMPLATE = (
    f"{{% if messages[0]['role'] != 'system' %}}{{{{ '<|im_start|>system\\n{_SYSTEM}<|im_end|>\\n' }}}}{{% endif %}}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    f"{{% else %}}{{% for part in message['content'] %}}{_CONTENT_PART}{{% endfor %}}{{% endif %}}"
    "{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PROCESSOR = "Videollama3ImageProcessor"
_PROCESSOR_KEYS = ("image_mean", "image_std", "resample", "rescale_factor", "do_resize", "do_rescale", "do_normalize")
_GENERATION_CONFIG = "generation_config.json"


def native_config(config: Config, video_token: int) -> Any:
    """The native VideoLlama3Config; the original has no `video_token` and marks the frames of videos as images.

    Raises:
        ModelError: the checkpoint uses a feature that the native class lacks.
    """
    from transformers import Qwen2Config, VideoLlama3Config, VideoLlama3VisionConfig

    _check_supported(config)
    vision = {key: config["vision_encoder_config"].get(key, default) for key, default in _VISION_DEFAULTS.items()}
    rope = {"rope_type": "axial", "rope_theta": _VISION_ROPE_THETA}
    return VideoLlama3Config(
        vision_config=VideoLlama3VisionConfig(**vision, rope_parameters=rope),
        text_config=Qwen2Config(**_text_config(config)),
        image_token_id=int(config["image_token_index"]),
        video_token_id=video_token,
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
        architectures=["VideoLlama3ForConditionalGeneration"],
        dtype=config.get("torch_dtype"),
    )


def native_tensors(name: str, _config: Config) -> Targets:
    """The native tensor that an original tensor fills; empty for an unknown name."""
    for pattern, native_name in _TENSOR_NAMES:
        if match := re.fullmatch(pattern, name):
            return ((match.expand(native_name), None),)
    return ()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if TARGET was written, else the exit status of the error."""
    return convert.main(LAYOUT, "vaa.models.checkpoints.videollama3", arguments)


def _matches(config: Config) -> bool:
    return config.get("model_type") == "videollama3_qwen2"


def _check_supported(config: Config) -> None:
    required = (*REQUIRED_TEXT_KEYS, "image_token_index", "vision_encoder_config")
    missing = [key for key in required if config.get(key) is None]
    if missing:
        raise ModelError(f"config.json has no {', '.join(missing)}.")
    projector = config.get("mm_projector_type", "mlp2x_gelu")
    if projector != "mlp2x_gelu":
        raise ModelError(
            f"config.json: mm_projector_type={projector} is not supported; every released VideoLLaMA3 has mlp2x_gelu."
        )


def _text_config(config: Config) -> dict[str, Any]:
    rope_type, scaling = layout.rope_scaling(config)
    values = {key: config[key] for key in _TEXT_KEYS if config.get(key) is not None}
    rope = {"rope_type": rope_type, "rope_theta": config.get("rope_theta", 10000.0), **scaling}
    return {**values, "rope_parameters": rope, "tie_word_embeddings": bool(config.get("tie_word_embeddings", False))}


def _native(config: Config, tokenizer: Any) -> Any:
    return native_config(config, tokenizer.video_token_id if tokenizer else layout.NO_TOKEN)


def _tokenizer(folder: Path, config: Config) -> Any:
    """The checkpoint's vocabulary with the chat template of the original processor.

    Raises:
        ModelError: the tokenizer cannot be read, or its special tokens have other ids than the checkpoint states.
    """
    from transformers import Qwen2Tokenizer

    tokenizer = layout.load_tokenizer(Qwen2Tokenizer, folder)
    layout.check_tokens(folder, tokenizer, _TOKENS.values(), int(config["vocab_size"]))
    layout.check_special_tokens(folder, tokenizer, layout.read_json(folder / "tokenizer_config.json"))
    image = token_id(tokenizer, _TOKENS["image_token"])
    if image != config["image_token_index"]:
        raise ModelError(f"{folder}: <image> is token {image}, but image_token_index is {config['image_token_index']}.")
    tokenizer = layout.load_tokenizer(Qwen2Tokenizer, folder, extra_special_tokens=dict(_TOKENS))
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def _image_processor(folder: Path, config: Config) -> Any:
    """Images in their own size, rounded to whole patches, with the limits of preprocessor_config.json.

    Raises:
        ModelError: the file is missing or another processor's, or its patch size is not the vision encoder's.
    """
    from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import VideoLlama3ImageProcessorPil

    _check_supported(config)
    file = folder / "preprocessor_config.json"
    settings = layout.read_json(file)
    if settings.get("image_processor_type") != _PROCESSOR:
        raise ModelError(f"{file}: missing, or its image_processor_type is not {_PROCESSOR}.")
    patch, expected = settings.get("patch_size", 14), config["vision_encoder_config"].get("patch_size", 16)
    if patch != expected:
        raise ModelError(f"{file}: patch_size is {patch}, but the vision encoder's is {expected}.")
    return VideoLlama3ImageProcessorPil(
        **{key: settings[key] for key in _PROCESSOR_KEYS if key in settings},
        patch_size=patch,
        size={
            "shortest_edge": int(settings.get("min_tokens", 16)) * patch**2,
            "longest_edge": int(settings.get("max_tokens", 16384)) * patch**2,
        },
    )


def _generation_config(folder: Path, _config: Config, native: Any, tokenizer: Any) -> Any:
    """The checkpoint's own, with its repetition penalty; without one, the end-of-text token alone."""
    from transformers import GenerationConfig

    if (folder / _GENERATION_CONFIG).is_file():
        return GenerationConfig.from_pretrained(folder)
    end = tokenizer.eos_token_id if tokenizer else native.text_config.eos_token_id
    return GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id if tokenizer else None)


LAYOUT = Layout(
    name="VideoLLaMA3",
    condition="model_type videollama3_qwen2",
    matches=_matches,
    native_config=_native,
    native_tensors=native_tensors,
    tokenizer=_tokenizer,
    image_processor=_image_processor,
    generation_config=_generation_config,
)

if __name__ == "__main__":
    sys.exit(main())
