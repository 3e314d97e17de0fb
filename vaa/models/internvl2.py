"""The ORIGINAL `OpenGVLab/InternVL2-*` repositories in transformers' native InternVL class, without remote code.

`python -m vaa.models.internvl2 SOURCE TARGET` writes one as a native checkpoint, which loads faster and anywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vaa.models import checkpoint
from vaa.models import internvl2_names as names
from vaa.models import internvl2_words as words
from vaa.models.internvl2_shards import fill, write
from vaa.types import VaaError

_NO_TOKEN = -1  # of a source without a tokenizer: its images cannot be placed until somebody says the id
_PARTS = {"llm_config", "vision_config"}
_WANTED = ("*.json", "*.safetensors", "*.model", "*.txt")


def is_original(name: str, revision: str | None) -> bool:
    """Whether a folder or a hub's repository has InternVL2's own layout; False too where its config cannot be read."""
    folder = Path(checkpoint.source(name))
    try:
        config = json.loads((folder / "config.json" if folder.is_dir() else _hub(name, revision)).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "internvl_chat" and config.keys() >= _PARTS


def read(kind: str, name: str, revision: str | None, **options: Any) -> Any:
    """What transformers' Auto class called `kind` would read, had it known the original layout.

    Raises:
        VaaError: something is missing or is not as InternVL2's original repositories have it.
    """
    folder = _fetch(name, revision)
    config = _config(folder)
    if kind == "AutoImageProcessor":
        return words.processor(config)
    tokenizer = words.tokenizer(folder, config)
    if kind == "AutoTokenizer":
        return tokenizer
    if kind == "AutoConfig":
        return names.native(config, tokenizer.context_image_token_id)
    if kind != "AutoModelForImageTextToText":
        raise VaaError(f"'{name}' is an original InternVL2 checkpoint: there is no {kind} in it.")
    model = load_model(folder, tokenizer.context_image_token_id, **options)
    model.generation_config = _endings(model.config, tokenizer, config)
    return model


def load_model(folder: Path, image_token: int, **options: Any) -> Any:
    """The model alone, read tensor by tensor: beside it, memory holds only those being converted.

    Raises:
        VaaError: a tensor is missing, unknown or of another shape, or the options cannot be had here.
    """
    from transformers import InternVLForConditionalGeneration

    native = names.native(_config(folder), image_token)
    try:
        model, found = InternVLForConditionalGeneration.from_pretrained(
            None,
            config=native,
            state_dict=fill(folder, _config(folder), native),
            output_loading_info=True,
            **options,
        )
    except (ImportError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VaaError(f"The checkpoint '{folder}' cannot be loaded: {reason}") from error
    wrong = {kind: sorted(map(str, keys))[:3] for kind, keys in found.items() if keys}
    if wrong:
        raise VaaError(f"The checkpoint '{folder}' was not loaded whole: {wrong}")
    return restart_rope(model.eval())


def restart_rope(model: Any) -> Any:
    """Let every new text begin with the trained frequencies of a dynamic rope; other models are left as they are.

    Past `max_position_embeddings` they grow with the longest text seen; kept, an answer would hang on those before it.
    """
    text: Any = getattr(getattr(model, "model", None), "language_model", None)
    rope: Any = getattr(text, "rotary_emb", None)
    if getattr(rope, "rope_type", None) != "dynamic":
        return model

    def restart(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        if cache is None or not cache.get_seq_length():
            rope.max_seq_len_cached = rope.original_max_seq_len
            rope.inv_freq = rope.original_inv_freq.clone()

    text.register_forward_pre_hook(restart, with_kwargs=True)
    return model


def convert(source: str, target: Path, revision: str | None = None, image_token: int | None = None) -> None:
    """Write SOURCE (a folder or a hub name) as a native checkpoint; TARGET is there whole or not at all.

    Raises:
        VaaError: TARGET exists, or SOURCE is missing, incomplete or not in the original layout.
    """
    if target.exists():
        raise VaaError(f"{target}: exists already; name another folder or remove it.")
    folder = _fetch(source, revision)
    config = _config(folder)
    tokenizer = words.tokenizer(folder, config) if words.has_tokenizer(folder) else None
    if image_token is None:
        image_token = tokenizer.context_image_token_id if tokenizer else _NO_TOKEN
    native = names.native(config, image_token)
    parts = [native, words.processor(config), _endings(native, tokenizer, config)]
    write(fill(folder, config, native), target, [*parts, tokenizer] if tokenizer else parts)


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if TARGET was written, 1 with the reason on stderr if not."""
    parser = argparse.ArgumentParser(prog="python -m vaa.models.internvl2", description=__doc__)
    parser.add_argument("source", help="a folder or a hub name in InternVL2's original layout")
    parser.add_argument("target", type=Path, help="the folder to write; it must not exist")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--image-token", type=int, help="id of <IMG_CONTEXT>, for a source without a tokenizer")
    given = parser.parse_args(arguments)
    try:
        convert(given.source, given.target, given.revision, given.image_token)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{given.target}: native InternVL checkpoint written.\n")
    if given.image_token is None and not words.has_tokenizer(_fetch(given.source, given.revision)):
        sys.stdout.write("SOURCE has no tokenizer: set image_token_id in its config.json, or give --image-token.\n")
    return 0


def _endings(native: Any, tokenizer: Any, config: Mapping[str, Any]) -> Any:
    """What ends an answer and what fills a batch up, as `generate` reads it."""
    from transformers import GenerationConfig

    if tokenizer is None:
        text = native.text_config
        return GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    return GenerationConfig(eos_token_id=words.ending(tokenizer, config), pad_token_id=tokenizer.pad_token_id)


def _fetch(name: str, revision: str | None) -> Path:
    """The checkpoint's folder, downloaded if it is a hub's name and not here yet."""
    folder = Path(checkpoint.source(name))
    if folder.is_dir():
        return folder
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise VaaError(f"{name}: no such folder.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VaaError(
            f"'{name}' (revision {revision or 'main'}) is no folder and cannot be downloaded: {reason}"
        ) from error


def _config(folder: Path) -> Mapping[str, Any]:
    """Its config.json, known to be of the original layout."""
    if not is_original(str(folder), None):
        raise VaaError(
            f"{folder}: not in InternVL2's original layout: config.json must say model_type internvl_chat and hold "
            "llm_config and vision_config. A native (`-hf`) checkpoint needs no conversion."
        )
    config = dict(json.loads((folder / "config.json").read_bytes()))
    names.text_class(config)
    return config


@cache
def _hub(name: str, revision: str | None) -> Path:
    """The config.json of a hub's repository."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, "config.json", revision=revision))


if __name__ == "__main__":
    sys.exit(main())
