"""The ORIGINAL `OpenGVLab/InternVL2-*` repositories in transformers' native InternVL class, without remote code."""

from __future__ import annotations

from typing import Any

from vaa.models import checkpoint


def is_original(name: str, revision: str | None) -> bool:
    """Whether a folder or a hub's repository has InternVL2's own layout; False too where its config cannot be read."""
    from transformers import PreTrainedConfig

    try:
        config, _ = PreTrainedConfig.get_config_dict(checkpoint.source(name), revision=revision)
    except (OSError, ValueError):
        return False
    return "llm_config" in config and (
        config.get("model_type") == "internvl_chat" or config.get("architectures") == ["InternVLChatModel"]
    )


def load(name: str, revision: str | None, attention: str, **options: Any) -> tuple[Any, Any, Any]:
    """The model, its tokenizer and its image processor; `options` as `from_pretrained` takes them."""
    raise NotImplementedError
