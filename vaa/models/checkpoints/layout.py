"""Checkpoints in their authors' own layout, loaded into transformers' native classes without remote code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.checkpoints.files import resolve_checkpoint
from vaa.models.checkpoints.hub import access_hint, find_checkpoint
from vaa.models.checkpoints.shards import Targets, fill, native_class

Config = Mapping[str, Any]

REQUIRED_TEXT_KEYS = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
"""Keys of a language model's config without which it cannot be built."""
NO_TOKEN = -1  # image token of a source without a tokenizer: the user has to give its id
_TOKENIZERS = ("tokenizer.model", "tokenizer.json", "vocab.json")
_DOWNLOADED = ("*.json", "*.safetensors", "*.model", "*.txt")  # never code


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An authors' layout and how each of its parts becomes a native one.

    `matches` recognises a config.json, `condition` describes what `matches` requires. `native_config` is made of the
    original config and the tokenizer (None without one), and names `architectures`; `native_tensors` maps an original
    tensor name to the native tensors it fills. `tokenizer` and `image_processor` are made of the folder and its config,
    `generation_config` of these, the native config and the tokenizer. `finish` may modify the loaded model.
    """

    name: str
    condition: str
    matches: Callable[[Config], bool]
    native_config: Callable[[Config, Any], Any]
    native_tensors: Callable[[str, Config], Targets]
    tokenizer: Callable[[Path, Config], Any]
    image_processor: Callable[[Path, Config], Any]
    generation_config: Callable[[Path, Config, Any, Any], Any]
    finish: Callable[[Any], Any] = lambda model: model


def detect(layouts: Sequence[Layout], name: str, revision: str | None) -> Layout | None:
    """The layout of a folder or hub repository; None if it matches none, or its config cannot be read."""
    folder = Path(resolve_checkpoint(name))
    try:
        file = folder / "config.json" if folder.is_dir() else _download_config(name, revision)
        config = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return next((layout for layout in layouts if isinstance(config, dict) and layout.matches(config)), None)


def load(layout: Layout, auto_class: str, name: str, revision: str | None, **options: Any) -> Any:
    """What `auto_class` (AutoTokenizer, AutoConfig, ...) would load if transformers supported the layout.

    Raises:
        ModelError: a part is missing or differs from the authors' repositories.
    """
    folder = download(name, revision)
    config = read_config(layout, folder)
    if auto_class == "AutoImageProcessor":
        return layout.image_processor(folder, config)
    tokenizer = layout.tokenizer(folder, config)
    if auto_class == "AutoTokenizer":
        return tokenizer
    native = layout.native_config(config, tokenizer)
    if auto_class == "AutoConfig":
        return native
    if auto_class != "AutoModelForImageTextToText":
        raise ModelError(f"'{name}' is an original {layout.name} checkpoint, which {auto_class} cannot load.")
    model = load_model(layout, folder, native, **options)
    model.generation_config = layout.generation_config(folder, config, native, tokenizer)
    return model


def load_model(layout: Layout, folder: Path, native: Any, **options: Any) -> Any:
    """The model alone, loaded tensor by tensor: peak memory is the model and the tensors being converted.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape, or an option is not supported on this machine.
    """
    config = read_config(layout, folder)
    try:
        model, loading_info = native_class(native).from_pretrained(
            None,
            config=native,
            state_dict=fill(folder, lambda name: layout.native_tensors(name, config), native),
            output_loading_info=True,
            **options,
        )
    except (ImportError, ValueError, RuntimeError) as error:
        raise ModelError(f"The checkpoint '{folder}' cannot be loaded: {_first_line(error)}") from error
    problems = {problem: sorted(map(str, keys))[:3] for problem, keys in loading_info.items() if keys}
    if problems:
        raise ModelError(f"The checkpoint '{folder}' was loaded incompletely: {problems}")
    return layout.finish(model.eval())


def download(name: str, revision: str | None) -> Path:
    """A checkpoint's local folder; a hub repository is downloaded first, without its code.

    Raises:
        ModelError: there is none, or it cannot be downloaded.
    """
    folder = Path(find_checkpoint(name, revision))
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_DOWNLOADED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            access_hint(name, error)
            or f"'{name}' (revision {revision or 'main'}) is no folder and cannot be downloaded: {_first_line(error)}"
        ) from error


def read_config(layout: Layout, folder: Path) -> Config:
    """The folder's config.json.

    Raises:
        ModelError: it is missing or not of this layout.
    """
    if detect([layout], str(folder), None) is None:
        raise ModelError(
            f"{folder}: not in {layout.name}'s original layout: its config.json must have {layout.condition}. "
            "A native (`-hf`) checkpoint needs no conversion."
        )
    return dict(json.loads((folder / "config.json").read_bytes()))


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder contains a tokenizer of any kind."""
    return any((folder / name).is_file() for name in _TOKENIZERS)


def load_tokenizer(tokenizer_class: Any, folder: Path, **options: Any) -> Any:
    """The folder's tokenizer.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if not has_tokenizer(folder):
        raise ModelError(f"{folder}: no tokenizer; it needs one of {', '.join(_TOKENIZERS)}.")
    try:
        return tokenizer_class.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{folder}: the tokenizer cannot be read: {_first_line(error)}") from error


def read_json(file: Path) -> dict[str, Any]:
    """The mapping in a JSON file, empty if the file is missing or contains something else.

    Raises:
        ModelError: it is not JSON.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise ModelError(f"{file}: not a JSON file: {error}") from error
    return content if isinstance(content, dict) else {}


def token_id(tokenizer: Any, token: str) -> int:
    """The id of a token, -1 if the vocabulary lacks it."""
    number = tokenizer.get_vocab().get(token)
    return NO_TOKEN if number is None else int(number)


def misplaced_tokens(tokenizer: Any, settings: Mapping[str, Any]) -> list[str]:
    """Special tokens whose id is not the one in `settings`, which is tokenizer_config.json."""
    ids = {str(token["content"]): int(key) for key, token in settings.get("added_tokens_decoder", {}).items()}
    return [token for token, number in ids.items() if token_id(tokenizer, token) != number]


def check_tokens(folder: Path, tokenizer: Any, tokens: Iterable[str], vocab_size: int) -> None:
    """Check that the tokenizer has these tokens, with ids below `vocab_size`.

    Raises:
        ModelError: it lacks one.
    """
    missing = [token for token in tokens if not 0 <= token_id(tokenizer, token) < vocab_size]
    if missing:
        raise ModelError(
            f"{folder}: {', '.join(missing)} not among the tokenizer's first {vocab_size} tokens (vocab_size)."
        )


def check_special_tokens(folder: Path, tokenizer: Any, settings: Mapping[str, Any]) -> None:
    """Check that special tokens have the ids in `settings`, which is tokenizer_config.json.

    Raises:
        ModelError: one has another id.
    """
    if misplaced := misplaced_tokens(tokenizer, settings):
        raise ModelError(
            f"{folder}: {', '.join(misplaced[:3])} cannot be given the id that tokenizer_config.json states."
        )


def rope_scaling(text: Config) -> tuple[str, dict[str, Any]]:
    """The type in a language model's `rope_scaling` ("default" without one), and the other values in it."""
    scaling = dict(text.get("rope_scaling") or {})
    return scaling.pop("rope_type", scaling.pop("type", "default")), scaling


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@cache
def _download_config(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, "config.json", revision=revision))
