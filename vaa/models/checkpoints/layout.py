"""Checkpoints in their authors' own layout, read into transformers' native classes without remote code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.models.checkpoints.shards import Targets, fill, native_class
from vaa.models.transformers import loading

Config = Mapping[str, Any]

NO_TOKEN = -1  # of a source without a tokenizer: its images cannot be placed until somebody says the id
_TOKENIZERS = ("tokenizer.model", "tokenizer.json", "vocab.json")
_WANTED = ("*.json", "*.safetensors", "*.model", "*.txt")


@dataclass(frozen=True)
class Layout:
    """One authors' layout, and what is made of its parts.

    `knows` a config.json that is in it, `asks` says what that one holds. `native` makes the native config of it and of
    the tokenizer (None where there is none), with `architectures`; `targets` names the native tensors that an original
    one fills. `tokenizer` and `processor` are made of the folder and its config; `endings`, of these two, the native
    config and the tokenizer, says how an answer ends. `finish` has the last word on the loaded model.
    """

    name: str
    asks: str
    knows: Callable[[Config], bool]
    native: Callable[[Config, Any], Any]
    targets: Callable[[str, Config], Targets]
    tokenizer: Callable[[Path, Config], Any]
    processor: Callable[[Path, Config], Any]
    endings: Callable[[Path, Config, Any, Any], Any]
    finish: Callable[[Any], Any] = lambda model: model


def find(layouts: Sequence[Layout], name: str, revision: str | None) -> Layout | None:
    """The layout of a folder or a hub's repository; None where it has none of these or its config cannot be read."""
    folder = Path(loading.source(name))
    try:
        said = json.loads((folder / "config.json" if folder.is_dir() else _hub(name, revision)).read_bytes())
    except (OSError, ValueError):
        return None
    return next((layout for layout in layouts if isinstance(said, dict) and layout.knows(said)), None)


def read(layout: Layout, kind: str, name: str, revision: str | None, **options: Any) -> Any:
    """What transformers' Auto class called `kind` would read, had it known the layout.

    Raises:
        VaaError: something is missing or is not as the authors' repositories have it.
    """
    folder = fetch(name, revision)
    said = config(layout, folder)
    if kind == "AutoImageProcessor":
        return layout.processor(folder, said)
    tokenizer = layout.tokenizer(folder, said)
    if kind == "AutoTokenizer":
        return tokenizer
    native = layout.native(said, tokenizer)
    if kind == "AutoConfig":
        return native
    if kind != "AutoModelForImageTextToText":
        raise VaaError(f"'{name}' is an original {layout.name} checkpoint: there is no {kind} in it.")
    model = load_model(layout, folder, native, **options)
    model.generation_config = layout.endings(folder, said, native, tokenizer)
    return model


def load_model(layout: Layout, folder: Path, native: Any, **options: Any) -> Any:
    """The model alone, read tensor by tensor: beside it, memory holds only those being converted.

    Raises:
        VaaError: a tensor is missing, unknown or of another shape, or the options cannot be had here.
    """
    said = config(layout, folder)
    try:
        model, found = native_class(native).from_pretrained(
            None,
            config=native,
            state_dict=fill(folder, lambda name: layout.targets(name, said), native),
            output_loading_info=True,
            **options,
        )
    except (ImportError, ValueError, RuntimeError) as error:
        raise VaaError(f"The checkpoint '{folder}' cannot be loaded: {_reason(error)}") from error
    wrong = {kind: sorted(map(str, keys))[:3] for kind, keys in found.items() if keys}
    if wrong:
        raise VaaError(f"The checkpoint '{folder}' was not loaded whole: {wrong}")
    return layout.finish(model.eval())


def fetch(name: str, revision: str | None) -> Path:
    """The checkpoint's folder, downloaded (never code) if it is a hub's name and not here yet."""
    folder = Path(loading.source(name))
    if folder.is_dir():
        return folder
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise VaaError(f"{name}: no such folder.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise VaaError(
            f"'{name}' (revision {revision or 'main'}) is no folder and cannot be downloaded: {_reason(error)}"
        ) from error


def config(layout: Layout, folder: Path) -> Config:
    """Its config.json, known to be of this layout."""
    if find([layout], str(folder), None) is None:
        raise VaaError(
            f"{folder}: not in {layout.name}'s original layout: config.json must {layout.asks}. "
            "A native (`-hf`) checkpoint needs no conversion."
        )
    return dict(json.loads((folder / "config.json").read_bytes()))


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer of any kind."""
    return any((folder / name).is_file() for name in _TOKENIZERS)


def read_tokenizer(kind: Any, folder: Path, **options: Any) -> Any:
    """A tokenizer of this class.

    Raises:
        VaaError: there is none, or it cannot be read.
    """
    if not has_tokenizer(folder):
        raise VaaError(f"{folder}: no tokenizer in it ({', '.join(_TOKENIZERS)} are all missing).")
    try:
        return kind.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise VaaError(f"{folder}: the tokenizer cannot be read: {_reason(error)}") from error


def settings(file: Path) -> dict[str, Any]:
    """A JSON file beside the weights, empty if it is not there.

    Raises:
        VaaError: it is not JSON.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise VaaError(f"{file}: not a JSON file: {error}") from error
    return found if isinstance(found, dict) else {}


def token_id(tokenizer: Any, token: str) -> int:
    """The id of a token, -1 if the vocabulary lacks it."""
    found = tokenizer.get_vocab().get(token)
    return NO_TOKEN if found is None else int(found)


def moved(tokenizer: Any, said: Config) -> list[str]:
    """Special tokens that have another id than tokenizer_config.json says."""
    ids = {str(token["content"]): int(key) for key, token in said.get("added_tokens_decoder", {}).items()}
    return [token for token, number in ids.items() if token_id(tokenizer, token) != number]


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@cache
def _hub(name: str, revision: str | None) -> Path:
    """The config.json of a hub's repository."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, "config.json", revision=revision))
