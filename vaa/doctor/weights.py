"""What a checkpoint is and weighs, learned from file names and headers: nothing of it is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.models.checkpoints.files import INDEX, SINGLE, check_shard_index, resolve_checkpoint

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_UNREAD = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
_PACKED = {"int8": 1.01, "nf4": 0.57, "fp4": 0.57}  # bytes a weight of a linear layer, with its scales


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a language model, and of the vision tower before it (zeros where there is none)."""

    layers: int = 0
    hidden: int = 0
    inner: int = 0
    keys: int = 0
    vocabulary: int = 0
    patches: int = 0
    seen_hidden: int = 0
    seen_inner: int = 0
    seen_layers: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint: its folder (None if it is not here), its number of parameters and how that is known.

    `missing` says what it wants and lacks, `broken` what is there and would be refused; `pieces` says that its
    vocabulary is a SentencePiece model.
    """

    folder: Path | None
    cached: bool
    parameters: float | None
    counted: str
    missing: tuple[str, ...]
    broken: tuple[str, ...]
    pieces: bool
    shape: ModelShape

    def bytes(self, dtype: str, quantization: str) -> float | None:
        """Memory that the weights take; embeddings and head are not quantized."""
        if self.parameters is None:
            return None
        if quantization not in _PACKED:
            return self.parameters * _BYTES.get(dtype, 4.0)
        plain = min(self.parameters, 2.0 * self.shape.vocabulary * self.shape.hidden)
        return plain * _BYTES.get(dtype, 4.0) + (self.parameters - plain) * _PACKED[quantization]

    def per_token(self, dtype: str) -> float:
        """Bytes of keys and values that a token takes."""
        return 2 * self.shape.layers * self.shape.keys * _BYTES.get(dtype, 4.0)

    def passing(self, dtype: str, tokens: float, images: float) -> float:
        """Bytes that pass through the widest layer while `tokens` are read, or `images` are seen."""
        shape = self.shape
        text = tokens * (4 * shape.hidden + 3 * shape.inner)
        seen = images * shape.patches * (6 * shape.seen_hidden + 2 * shape.seen_inner)
        return max(text, seen) * _BYTES.get(dtype, 4.0)


def weigh(name: str, revision: str | None, *, sees: bool) -> CheckpointInfo:
    """What is known of a checkpoint without the network; one that `sees` wants an image processor."""
    folder, cached, lost = _folder(name, revision)
    config = _json(folder / "config.json") if folder else {}
    shape = _shape(config)
    held, lacking = _held(folder) if folder else (0, [f"'{name}' is no folder, nor a name on the hub"] if lost else [])
    broken = list(_broken(folder)) if folder else []
    named = re.search(r"(\d+(?:\.\d+)?)[Bb](?![a-zA-Z])", name.rsplit("/", 1)[-1])
    parameters, counted = float(held), "by its files"
    if not held:
        parameters, counted = _estimated(shape), "by its config"
    if not parameters and named:
        parameters, counted = float(named[1]) * 1e9, "by its name"
    files = {file.name for file in folder.iterdir()} if folder else set()
    if folder and not files & set(_TOKENIZERS):
        lacking.append(f"no tokenizer (tokenizer.json or tokenizer.model) in {folder}")
    if folder and sees and config.get("model_type") != "internvl_chat" and not files & set(_PROCESSORS):
        lacking.append(f"no preprocessor_config.json in {folder}")
    pieces = "tokenizer.model" in files and "tokenizer.json" not in files
    return CheckpointInfo(folder, cached, parameters or None, counted, tuple(lacking), tuple(broken), pieces, shape)


def _folder(name: str, revision: str | None) -> tuple[Path | None, bool, bool]:
    """Where it lies, whether that is the hub's cache, and whether it is lost: neither here nor on any hub."""
    folder = Path(resolve_checkpoint(name))
    if folder.is_dir():
        return folder, False, False
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        return None, False, True
    return (Path(found).parent, True, False) if isinstance(found, str) else (None, False, False)


def _held(folder: Path) -> tuple[int, list[str]]:
    """Parameters in the shards, and what is missing of config and shards."""
    shards = _shards(folder)
    lost = [shard for shard in [folder / "config.json", *shards] if not shard.is_file()]
    unparsed = sorted(file.name for file in folder.iterdir() if file.suffix in _UNREAD)
    but = f" ({unparsed[0]} is not read: it can hold code. Save it anew as .safetensors)" if unparsed else ""
    lacking = [f"no {file.name} in {folder}{but if file.suffix == '.safetensors' else ''}" for file in lost]
    return sum(_parameters(_header(shard)) for shard in shards if shard.is_file()), lacking


def _shards(folder: Path) -> list[Path]:
    index = _json(folder / INDEX).get("weight_map")
    files = {str(file) for file in index.values()} if isinstance(index, Mapping) else {SINGLE}
    return [folder / file for file in sorted(files) if Path(file).name == file]


def _broken(folder: Path) -> Iterator[str]:
    """What loading would refuse: an index that leads elsewhere, shards that are none or are cut off."""
    try:
        check_shard_index(folder)
    except VaaError as error:
        yield str(error)
        return
    for shard in _shards(folder):
        if shard.is_file() and not _header(shard):
            yield f"{shard.name} in {folder} is cut off, or no safetensors file: get it again"


def _header(shard: Path) -> Mapping[str, Any]:
    """Of a safetensors file, eight bytes of length, then JSON; empty where it or what it promises is not there."""
    whole = shard.stat().st_size
    with shard.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(size)) if size < whole else {}
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return {}
    return header if 8 + size + end <= whole else {}


def _parameters(header: Mapping[str, Any]) -> int:
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _json(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _shape(config: Mapping[str, Any]) -> ModelShape:
    text = config.get("text_config") or config.get("llm_config") or config
    seen = config.get("vision_config") or config.get("vision_encoder_config") or {}
    hidden, heads = int(text.get("hidden_size") or 0), int(text.get("num_attention_heads") or 1)
    head = int(text.get("head_dim") or hidden // heads)
    side = _side(seen.get("image_size")) // (_side(seen.get("patch_size")) or 1)
    return ModelShape(
        layers=int(text.get("num_hidden_layers") or 0),
        hidden=hidden,
        inner=int(text.get("intermediate_size") or 0),
        keys=head * int(text.get("num_key_value_heads") or heads),
        vocabulary=int(text.get("vocab_size") or 0),
        patches=side**2,
        seen_hidden=int(seen.get("hidden_size") or 0),
        seen_inner=int(seen.get("intermediate_size") or 0),
        seen_layers=int(seen.get("num_hidden_layers") or seen.get("depth") or 0),
        tokens=int(side**2 * float(config.get("downsample_ratio") or 0.5) ** 2),
    )


def _estimated(shape: ModelShape) -> float:
    read = 2 * shape.hidden * (shape.hidden + shape.keys) + 3 * shape.hidden * shape.inner
    seen = 4 * shape.seen_hidden**2 + 2 * shape.seen_hidden * shape.seen_inner
    return float(shape.layers * read + 2 * shape.vocabulary * shape.hidden + shape.seen_layers * seen)


def _side(size: Any) -> int:
    return int(size[0] if isinstance(size, list) and size else size or 0)
