"""The size and completeness of a checkpoint, from file names and headers; no weights are loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.checkpoints import internvl2
from vaa.models.checkpoints.files import INDEX, SINGLE, check_shard_index, packaged_hint, resolve_checkpoint
from vaa.models.checkpoints.hub import cached_folder, is_hub_name
from vaa.models.checkpoints.weights import only_pickled

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_UNSUPPORTED = (".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
_QUANTIZED_BYTES = {"int8": 1.01, "nf4": 0.57, "fp4": 0.57}  # per weight of a linear layer, with its scales


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a language model and of its vision encoder (zeros without one).

    `kv` is the width of keys and of values, `image_tokens` are the visual tokens of a frame, `vector` is the length of
    an encoder's vectors.
    """

    layers: int = 0
    hidden: int = 0
    inner: int = 0
    kv: int = 0
    vocabulary: int = 0
    patches: int = 0
    vision_hidden: int = 0
    vision_inner: int = 0
    vision_layers: int = 0
    image_tokens: int = 0
    vector: int = 0


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint: its folder (None if it is not on this machine), number of parameters and how that is known.

    `missing` lists files it lacks, `damaged` files that loading would refuse; with `sentencepiece` its vocabulary is a
    SentencePiece model.
    """

    folder: Path | None
    in_hub_cache: bool
    parameters: float | None
    counted_by: str
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    sentencepiece: bool
    shape: ModelShape

    def weight_bytes(self, dtype: str, quantization: str) -> float | None:
        """Memory of the weights; embeddings and output layer are not quantized."""
        if self.parameters is None:
            return None
        if quantization not in _QUANTIZED_BYTES:
            return self.parameters * _BYTES.get(dtype, 4.0)
        unquantized = min(self.parameters, 2.0 * self.shape.vocabulary * self.shape.hidden)
        quantized = self.parameters - unquantized
        return unquantized * _BYTES.get(dtype, 4.0) + quantized * _QUANTIZED_BYTES[quantization]

    def kv_bytes_per_token(self, dtype: str) -> float:
        """Memory of a token's keys and values."""
        return 2 * self.shape.layers * self.shape.kv * _BYTES.get(dtype, 4.0)

    def activation_bytes(self, dtype: str, tokens: float, images: float) -> float:
        """Memory of the activations of the widest layer for this many tokens or images, whichever is more."""
        shape = self.shape
        text = tokens * (4 * shape.hidden + 3 * shape.inner)
        vision = images * shape.patches * (6 * shape.vision_hidden + 2 * shape.vision_inner)
        return max(text, vision) * _BYTES.get(dtype, 4.0)


def inspect_checkpoint(name: str, revision: str | None, *, image_processor: bool) -> CheckpointInfo:
    """A checkpoint without network access; with `image_processor` it has to contain one."""
    folder, in_hub_cache, is_name = _locate(name, revision)
    config = _read_json(folder / "config.json") if folder else {}
    shape = _shape(config)
    stored, missing = _stored_parameters(folder) if folder else (0, [])
    if folder is None and not is_name:
        missing = [f"'{name}' is neither a folder nor a hub name, which look like ORG/NAME.{packaged_hint(name)}"]
    size_in_name = re.search(r"(\d+(?:\.\d+)?)[Bb](?![a-zA-Z])", name.rsplit("/", 1)[-1])
    parameters, counted_by = float(stored), "by its files"
    if not stored:
        parameters, counted_by = _estimate_parameters(shape), "by its config"
    if not parameters and size_in_name:
        parameters, counted_by = float(size_in_name[1]) * 1e9, "by its name"
    files = {file.name for file in folder.iterdir()} if folder else set()
    if folder and not files & set(_TOKENIZERS):
        missing.append(f"no tokenizer (tokenizer.json or tokenizer.model) in {folder}")
    needs_file = image_processor and not internvl2.LAYOUT.matches(config)  # its image processor needs no file
    if folder and needs_file and not files & set(_PROCESSORS):
        missing.append(f"no preprocessor_config.json in {folder}")
    return CheckpointInfo(
        folder=folder,
        in_hub_cache=in_hub_cache,
        parameters=parameters or None,
        counted_by=counted_by,
        missing=tuple(missing),
        damaged=tuple(_damaged(folder)) if folder else (),
        sentencepiece="tokenizer.model" in files and "tokenizer.json" not in files,
        shape=shape,
    )


def _locate(name: str, revision: str | None) -> tuple[Path | None, bool, bool]:
    """The local folder if any, whether it is in the hub's cache, and whether `name` is a folder or a hub name."""
    folder = Path(resolve_checkpoint(name))
    if name and folder.is_dir():
        return folder, False, True
    cached = cached_folder(name, revision)
    return cached, cached is not None, cached is not None or is_hub_name(name)


def _stored_parameters(folder: Path) -> tuple[int, list[str]]:
    """Number of parameters in the shards, and a message for each missing file."""
    shards = [] if only_pickled({file.name for file in folder.iterdir()}) else _shards(folder)
    missing = [file for file in [folder / "config.json", *shards] if not file.is_file()]
    others = sorted(file.name for file in folder.iterdir() if file.suffix in _UNSUPPORTED)
    hint = f" ({others[0]} is not loaded: it can contain code. Save it again as .safetensors)" if others else ""
    messages = [f"no {file.name} in {folder}{hint if file.suffix == '.safetensors' else ''}" for file in missing]
    return sum(_n_parameters(_read_header(shard)) for shard in shards if shard.is_file()), messages


def _shards(folder: Path) -> list[Path]:
    weight_map = _read_json(folder / INDEX).get("weight_map")
    names = {str(name) for name in weight_map.values()} if isinstance(weight_map, Mapping) else {SINGLE}
    return [folder / name for name in sorted(names) if Path(name).name == name]


def _damaged(folder: Path) -> Iterator[str]:
    """A message for each file that loading would refuse: truncated shards, an index with files outside the folder."""
    try:
        check_shard_index(folder)
    except ModelError as error:
        yield str(error)
        return
    for shard in _shards(folder):
        if shard.is_file() and not _read_header(shard):
            yield f"{shard.name} in {folder} is truncated or not a safetensors file: download it again"


def _read_header(shard: Path) -> Mapping[str, Any]:
    """The header of a safetensors file (8 bytes of length, then JSON); empty if it or a tensor is incomplete."""
    file_size = shard.stat().st_size
    with shard.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(size)) if size < file_size else {}
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return {}
    return header if 8 + size + end <= file_size else {}


def _n_parameters(header: Mapping[str, Any]) -> int:
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _shape(config: Mapping[str, Any]) -> ModelShape:
    text = config.get("text_config") or config.get("llm_config") or config
    vision = config.get("vision_config") or config.get("vision_encoder_config") or {}
    hidden, heads = int(text.get("hidden_size") or 0), int(text.get("num_attention_heads") or 1)
    head = int(text.get("head_dim") or hidden // heads)
    side = _side(vision.get("image_size")) // (_side(vision.get("patch_size")) or 1)
    return ModelShape(
        layers=int(text.get("num_hidden_layers") or 0),
        hidden=hidden,
        inner=int(text.get("intermediate_size") or 0),
        kv=head * int(text.get("num_key_value_heads") or heads),
        vocabulary=int(text.get("vocab_size") or 0),
        patches=side**2,
        vision_hidden=int(vision.get("hidden_size") or 0),
        vector=int(config.get("projection_dim") or vision.get("hidden_size") or 0),
        vision_inner=int(vision.get("intermediate_size") or 0),
        vision_layers=int(vision.get("num_hidden_layers") or vision.get("depth") or 0),
        image_tokens=int(side**2 * float(config.get("downsample_ratio") or 0.5) ** 2),
    )


def _estimate_parameters(shape: ModelShape) -> float:
    text_layer = 2 * shape.hidden * (shape.hidden + shape.kv) + 3 * shape.hidden * shape.inner
    vision_layer = 4 * shape.vision_hidden**2 + 2 * shape.vision_hidden * shape.vision_inner
    embeddings = 2 * shape.vocabulary * shape.hidden
    return float(shape.layers * text_layer + embeddings + shape.vision_layers * vision_layer)


def _side(size: Any) -> int:
    return int(size[0] if isinstance(size, list) and size else size or 0)
