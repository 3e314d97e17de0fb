"""What goes into an original VideoLLaMA3 checkpoint: its tokenizer, its chat template, its image processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.models.checkpoints import layout
from vaa.models.checkpoints import videollama3_names as names
from vaa.models.checkpoints.layout import token_id

TOKENS = {"image_token": "<image>", "video_token": "<|video_pad|>"}
# The original processor puts this before a chat without system text when asked to, as its documentation and URF do.
_SYSTEM = (
    "You are VideoLLaMA3 created by Alibaba DAMO Academy, "
    "a helpful assistant to help people understand images and videos."
)
_PARTS = (
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% elif part['type'] == 'video' %}{{ '<|video_pad|>\\n' }}{% endif %}"
)
_CHAT = (
    f"{{% if messages[0]['role'] != 'system' %}}{{{{ '<|im_start|>system\\n{_SYSTEM}<|im_end|>\\n' }}}}{{% endif %}}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    f"{{% else %}}{{% for part in message['content'] %}}{_PARTS}{{% endfor %}}{{% endif %}}"
    "{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PROCESSOR = "Videollama3ImageProcessor"
_MADE = ("image_mean", "image_std", "resample", "rescale_factor", "do_resize", "do_rescale", "do_normalize")


def tokenizer(folder: Path, config: Mapping[str, Any]) -> Any:
    """The checkpoint's own vocabulary, with the chat template of the original processor.

    Raises:
        VaaError: the tokenizer cannot be read, or its special tokens have other ids than the checkpoint says.
    """
    from transformers import Qwen2Tokenizer

    loaded = layout.read_tokenizer(Qwen2Tokenizer, folder)
    missing = [token for token in TOKENS.values() if not 0 <= token_id(loaded, token) < int(config["vocab_size"])]
    if missing:
        raise VaaError(
            f"{folder}: the tokenizer has no {', '.join(missing)}, or not among the model's {config['vocab_size']} "
            "tokens."
        )
    moved = layout.moved(loaded, layout.settings(folder / "tokenizer_config.json"))
    if moved:
        raise VaaError(f"{folder}: {', '.join(moved[:3])} cannot be given the id that tokenizer_config.json says.")
    image = token_id(loaded, TOKENS["image_token"])
    if image != config["image_token_index"]:
        raise VaaError(f"{folder}: <image> is token {image}, but image_token_index is {config['image_token_index']}.")
    loaded = layout.read_tokenizer(Qwen2Tokenizer, folder, extra_special_tokens=dict(TOKENS))
    loaded.chat_template = _CHAT
    return loaded


def processor(folder: Path, config: Mapping[str, Any]) -> Any:
    """Images at their own size, in whole patches: what preprocessor_config.json says, natively.

    Raises:
        VaaError: it is missing or another processor's, or its patches are not the vision tower's.
    """
    from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import VideoLlama3ImageProcessorPil

    names.check(config)
    file = folder / "preprocessor_config.json"
    said = layout.settings(file)
    if said.get("image_processor_type") != _PROCESSOR:
        raise VaaError(f"{file}: missing, or not of VideoLLaMA3's image processor (image_processor_type {_PROCESSOR}).")
    patch, expected = said.get("patch_size", 14), config["vision_encoder_config"].get("patch_size", 16)
    if patch != expected:
        raise VaaError(f"{file}: patch_size is {patch}, but the vision tower's is {expected}.")
    return VideoLlama3ImageProcessorPil(
        **{key: said[key] for key in _MADE if key in said},
        patch_size=patch,
        size={
            "shortest_edge": int(said.get("min_tokens", 16)) * patch**2,
            "longest_edge": int(said.get("max_tokens", 16384)) * patch**2,
        },
    )
