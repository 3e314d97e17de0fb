"""The ORIGINAL `OpenGVLab/InternVL2-*` repositories in transformers' native InternVL class, without remote code.

`python -m vaa.models.checkpoints.internvl2 SOURCE TARGET` writes one as a native checkpoint.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vaa.models.checkpoints import convert, layout
from vaa.models.checkpoints import internvl2_names as names
from vaa.models.checkpoints import internvl2_words as words
from vaa.models.checkpoints.layout import Config, Layout

_PARTS = {"llm_config", "vision_config"}


def restart_rope(model: Any) -> Any:
    """Let every new text begin with the trained frequencies of a dynamic rope; other models are left as they are.

    Past `max_position_embeddings` they grow with the longest text seen; kept, an answer would hang on those before it.
    """
    text: Any = getattr(getattr(model, "model", None), "language_model", None)
    rope: Any = getattr(text, "rotary_emb", None)
    if getattr(rope, "rope_type", None) != "dynamic":
        return model

    def restart(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("cache", kwargs.get("past_key_values"))  # its name from transformers 5.24 on, and before
        if cache is None or not cache.get_seq_length():
            rope.max_seq_len_cached = rope.original_max_seq_len
            rope.inv_freq = rope.original_inv_freq.clone()

    text.register_forward_pre_hook(restart, with_kwargs=True)
    return model


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if TARGET was written, 1 with the reason on stderr if not."""
    return convert.main(LAYOUT, "vaa.models.checkpoints.internvl2", arguments)


def _knows(config: Config) -> bool:
    return config.get("model_type") == "internvl_chat" and config.keys() >= _PARTS


def _tokenizer(folder: Path, config: Config) -> Any:
    names.text_class(config)  # another language model has another tokenizer: say the one, not the other
    return words.tokenizer(folder, config)


def _native(config: Config, tokenizer: Any) -> Any:
    return names.native(config, tokenizer.context_image_token_id if tokenizer else layout.NO_TOKEN)


def _endings(_folder: Path, config: Config, native: Any, tokenizer: Any) -> Any:
    """What ends an answer and what fills a batch up, as `generate` reads it."""
    from transformers import GenerationConfig

    if tokenizer is None:
        text = native.text_config
        return GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    return GenerationConfig(eos_token_id=words.ending(tokenizer, config), pad_token_id=tokenizer.pad_token_id)


LAYOUT = Layout(
    name="InternVL2",
    asks="say model_type internvl_chat and hold llm_config and vision_config",
    knows=_knows,
    native=_native,
    targets=names.targets,
    tokenizer=_tokenizer,
    processor=words.processor,
    endings=_endings,
    finish=restart_rope,
)

if __name__ == "__main__":
    sys.exit(main())
