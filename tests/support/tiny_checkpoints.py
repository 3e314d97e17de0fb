"""Random checkpoints, as small as possible, one of each architecture that vaa supports."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making import make_tokenizer

from vaa.errors import ModelError

VISUAL = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
TEXT = {
    "hidden_size": 64,  # bitsandbytes needs multiples of 64 columns
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "max_position_embeddings": 2048,
    "initializer_range": 0.3,  # large, so that the answer depends on the frames
}
QWEN = {"depth": 2, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64, "patch_size": 8}
SIGLIP = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_size": 8,
}


def check_refused(
    folder: Path, message: str, load: Callable[[Path], Any], convert: Callable[[list[str]], int], capsys: Any
) -> None:
    """Check that loading and converting a damaged checkpoint fail with `message`, and that no file is left."""
    with pytest.raises(ModelError, match=f"(?s){message}"):
        load(folder)
    if "tokenizer" not in message:
        assert convert([str(folder), str(folder.parent / "native")]) == ModelError.exit_status
        assert re.search(message, capsys.readouterr().err)
    assert {path.name for path in folder.parent.iterdir()} == {"original"}


def make(name: str, folder: Path) -> Path:
    """Write a native checkpoint of an architecture."""
    import torch

    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(VISUAL, special_tokens=True)
    ids = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    text = {**TEXT, **ids, "pad_token_id": tokenizer.pad_token_id}
    start, end, image, video = tokenizer.convert_tokens_to_ids(VISUAL)
    image_ids = {"image_token_id": image, "video_token_id": video}
    visual = {**image_ids, "vision_start_token_id": start, "vision_end_token_id": end}
    model, processor = _MAKERS[name](text, image_ids if name in ("videollama3", "llava_onevision") else visual)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


def _qwen2_5_vl(text: dict[str, Any], visual: dict[str, int]) -> tuple[Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    text = text | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}}
    vision = {**QWEN, "window_size": 32, "fullatt_block_indexes": [1], "initializer_range": 0.3}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **visual)
    processor = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=256, max_pixels=4096)
    return Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen3_vl(text: dict[str, Any], visual: dict[str, int]) -> tuple[Any, Any]:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6], "mrope_interleaved": True}
    vision = {**QWEN, "num_position_embeddings": 64, "deepstack_visual_indexes": [0], "initializer_range": 0.3}
    config = Qwen3VLConfig(
        text_config={**text, "head_dim": 32, "rope_parameters": rope}, vision_config=vision, **visual
    )
    processor = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=256, max_pixels=4096)
    return Qwen3VLForConditionalGeneration(config), processor


def _videollama3(text: dict[str, Any], visual: dict[str, int]) -> tuple[Any, Any]:
    from transformers import VideoLlama3Config, VideoLlama3ForConditionalGeneration
    from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import VideoLlama3ImageProcessorPil

    vision = {**SIGLIP, "initializer_range": 0.3}
    config = VideoLlama3Config(text_config={**text, "model_type": "qwen2"}, vision_config=vision, **visual)
    processor = VideoLlama3ImageProcessorPil(patch_size=8, min_pixels=256, max_pixels=4096)
    return VideoLlama3ForConditionalGeneration(config), processor


def _llava_onevision(text: dict[str, Any], visual: dict[str, int]) -> tuple[Any, Any]:
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    vision = {**SIGLIP, "image_size": 32, "model_type": "siglip_vision_model", "vision_use_head": False}
    config = LlavaOnevisionConfig(
        text_config={**text, "model_type": "qwen2"},
        vision_config=vision,
        image_token_index=visual["image_token_id"],
        video_token_index=visual["video_token_id"],
        image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
    )
    processor = LlavaOnevisionImageProcessorPil(
        size={"height": 32, "width": 32}, image_grid_pinpoints=config.image_grid_pinpoints
    )
    return LlavaOnevisionForConditionalGeneration(config), processor


def _llama3_1(text: dict[str, Any], _visual: dict[str, int]) -> tuple[Any, Any]:
    from transformers import LlamaConfig, LlamaForCausalLM

    rope = {
        "rope_type": "llama3",
        "rope_theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }
    return LlamaForCausalLM(LlamaConfig(**text, rope_parameters=rope)), None


def _qwen3(text: dict[str, Any], _visual: dict[str, int]) -> tuple[Any, Any]:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**text, head_dim=32)), None


def siglip(folder: Path) -> Path:
    """A SigLIP checkpoint for 32x32 images and 64 text tokens."""
    import torch
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(1)
    tokenizer = make_tokenizer(end_of_text=True)
    text = {**SIGLIP, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "projection_size": 64}
    del text["patch_size"]
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    SiglipModel(
        SiglipConfig(text_config={**text, **ids}, vision_config={**SIGLIP, "image_size": 32})
    ).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


_MAKERS = {
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "videollama3": _videollama3,
    "llava_onevision": _llava_onevision,
    "llama3_1": _llama3_1,
    "qwen3": _qwen3,
}
