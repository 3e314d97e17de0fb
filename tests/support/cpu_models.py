"""Model handles for tests: float32 on the CPU, greedy, frames prepared in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaa.generation import GREEDY
from vaa.models.transformers.encoder import ClipEncoder
from vaa.models.transformers.llm import TransformersLLM
from vaa.models.transformers.vlm import TransformersVLM


def cpu_vlm(checkpoint: str | Path, **fields: Any) -> TransformersVLM:
    defaults = {
        "max_pixels": None,
        "max_visual_tokens": None,
        "compress_tokens": False,
        "timestamps": False,
        "decoder": "decord",
        "workers": 0,
        "resize": "pil",
    }
    return TransformersVLM(**{**_chat_model(checkpoint), **defaults, **fields})


def cpu_llm(checkpoint: str | Path, **fields: Any) -> TransformersLLM:
    return TransformersLLM(**{**_chat_model(checkpoint), "chat": True, **fields})


def cpu_encoder(checkpoint: str | Path, **fields: Any) -> ClipEncoder:
    defaults: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "revision": None,
        "dtype": "float32",
        "device_map": "cpu",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "resample": "bicubic",
        "batch_size": 4,
        "decoder": "decord",
        "stride": 1,
        "workers": 0,
        "resize": "pil",
    }
    return ClipEncoder(**{**defaults, **fields})


def _chat_model(checkpoint: str | Path) -> dict[str, Any]:
    return {
        "backend": "transformers",
        "vllm": None,
        "checkpoint": str(checkpoint),
        "revision": None,
        "dtype": "float32",
        "quantization": "none",
        "device_map": "cpu",
        "attention": "sdpa",
        "generation": GREEDY,
        "batch_size": 4,
    }
