"""The ORIGINAL `DAMO-NLP-SG/VideoLLaMA3-*` repositories in transformers' native class, without remote code.

`python -m vaa.models.checkpoints.videollama3 SOURCE TARGET` writes one as a native checkpoint.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vaa.models.checkpoints import convert
from vaa.models.checkpoints import videollama3_names as names
from vaa.models.checkpoints import videollama3_words as words
from vaa.models.checkpoints.layout import NO_TOKEN, Config, Layout

_GENERATION = "generation_config.json"


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if TARGET was written, 1 with the reason on stderr if not."""
    return convert.main(LAYOUT, "vaa.models.checkpoints.videollama3", arguments)


def _knows(config: Config) -> bool:
    return config.get("model_type") == "videollama3_qwen2"


def _native(config: Config, tokenizer: Any) -> Any:
    return names.native(config, tokenizer.video_token_id if tokenizer else NO_TOKEN)


def _endings(folder: Path, _config: Config, native: Any, tokenizer: Any) -> Any:
    """The checkpoint's own: what ends an answer, and its repetition penalty."""
    from transformers import GenerationConfig

    if (folder / _GENERATION).is_file():
        return GenerationConfig.from_pretrained(folder)
    end = tokenizer.eos_token_id if tokenizer else native.text_config.eos_token_id
    return GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id if tokenizer else None)


LAYOUT = Layout(
    name="VideoLLaMA3",
    asks="say model_type videollama3_qwen2",
    knows=_knows,
    native=_native,
    targets=names.targets,
    tokenizer=words.tokenizer,
    processor=words.processor,
    endings=_endings,
)

if __name__ == "__main__":
    sys.exit(main())
