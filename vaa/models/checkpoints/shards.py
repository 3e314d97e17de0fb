"""Shards of a checkpoint in its authors' own layout as the native model's tensors, read on access."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaa.errors import ModelError
from vaa.models.checkpoints.files import INDEX, SINGLE, check_shard_index

_COMPUTED_BUFFER = "rotary_emb.inv_freq"  # older Llama checkpoints store it; transformers computes it


@dataclass(frozen=True)
class FusedPart:
    """A part of a fused projection: `index` 0 query, 1 key, 2 value.

    Without `groups` the rows are all queries, then all keys, then all values. InternLM2 orders them by key-value head:
    `groups` is (number of key-value heads, query heads for each).
    """

    index: int
    groups: tuple[int, int] | None = None


Targets = tuple[tuple[str, FusedPart | None], ...]
"""The native tensors that an original tensor fills, and the part of it that each takes."""


@dataclass(frozen=True, eq=False)
class TensorSource:
    """A native tensor: a whole tensor of a shard, or some rows of a fused one; indexing reads it."""

    shard: Any
    name: str
    part: FusedPart | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, from the shard's header."""
        rows, *rest = self.shard.get_slice(self.name).get_shape()
        if self.part is None:
            return (rows, *rest)
        n_queries = self.part.groups[1] if self.part.groups else 1
        share = n_queries if self.part.index == 0 else 1
        return (rows * share // (n_queries + 2) if rows % (n_queries + 2) == 0 else rows, *rest)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}.get(self.shard.get_slice(self.name).get_dtype(), 1)

    def __getitem__(self, index: Any) -> Any:
        tensor = self.shard.get_slice(self.name)
        if self.part is None:
            return tensor[index]
        part, rows = self.part.index, self.shape[0]
        if self.part.groups is None:
            return tensor[part * rows : (part + 1) * rows][index]
        n_groups, n_queries = self.part.groups
        fused = tensor[:]
        by_group = fused.view(n_groups, n_queries + 2, -1, *fused.shape[1:])
        selected = by_group[:, :n_queries] if part == 0 else by_group[:, n_queries + part - 1]
        return selected.reshape(rows, *fused.shape[1:])[index]


def fill(folder: Path, targets: Callable[[str], Targets], native: Any) -> dict[str, TensorSource]:
    """Native tensor name -> its source; only headers are read.

    Args:
        folder: the original checkpoint.
        targets: original tensor name -> the native tensors it fills.
        native: the native config.

    Raises:
        ModelError: a shard cannot be read, or a tensor is unknown, missing, filled twice or of another shape.
    """
    filled: dict[str, TensorSource] = {}
    unknown, duplicates = [], []
    for shard, name in _tensors(folder):
        if name.endswith(_COMPUTED_BUFFER):
            continue
        filled_by_it = targets(name)
        if not filled_by_it:
            unknown.append(name)
        for target, part in filled_by_it:
            if target in filled:
                duplicates.append(f"{target} (by {filled[target].name} and {name})")
            filled[target] = TensorSource(shard, name, part)
    shapes = _shapes(native)
    tied = {"lm_head.weight"} if native.tie_word_embeddings else set()
    misshapen = [
        f"{filled[name].name} ({list(filled[name].shape)} instead of {list(shape)})"
        for name, shape in shapes.items()
        if name in filled and filled[name].shape != shape
    ]
    _check(
        folder,
        {
            "unknown": unknown + [filled[name].name for name in filled.keys() - shapes.keys()],
            "missing": sorted(shapes.keys() - filled.keys() - tied),
            "filled twice": duplicates,
            "of another shape": misshapen,
        },
    )
    return filled


def native_class(native: Any) -> Any:
    """The transformers class of a native config."""
    import transformers

    return getattr(transformers, native.architectures[0])


def _tensors(folder: Path) -> Iterator[tuple[Any, str]]:
    """(Open shard, tensor name) of every tensor."""
    from safetensors import SafetensorError, safe_open

    check_shard_index(folder)
    index = _read_index(folder)
    for file in sorted(set(index.values())) if index else [SINGLE]:
        expected = {name for name in index if index[name] == file}
        if not (folder / file).is_file():
            detail = f"; it contains {_shorten(sorted(expected))}" if expected else " (other formats are not supported)"
            raise ModelError(f"{folder}: {file} is missing{detail}.")
        try:
            shard: Any = safe_open(folder / file, framework="pt")
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{folder / file}: not a complete safetensors file: {error}") from error
        names = set(shard.keys())
        if index and names != expected:
            raise ModelError(f"{folder}: {file} and {INDEX} disagree on {_shorten(sorted(names ^ expected))}.")
        yield from ((shard, name) for name in shard.keys())  # noqa: SIM118 - not a mapping


def _read_index(folder: Path) -> dict[str, str]:
    """Tensor name -> shard file; empty without an index."""
    file = folder / INDEX
    if not file.is_file():
        return {}
    try:
        weight_map = json.loads(file.read_text(encoding="utf-8"))["weight_map"]
        return {str(name): str(shard) for name, shard in weight_map.items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{file}: not an index of shards: {error}") from error


def _shapes(native: Any) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of the native model; no memory is allocated."""
    import torch

    with torch.device("meta"):
        model = native_class(native)(native)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _check(folder: Path, problems: Mapping[str, Sequence[str]]) -> None:
    text = "; ".join(f"{len(names)} {problem}: {_shorten(names)}" for problem, names in problems.items() if names)
    if text:
        raise ModelError(f"{folder}: the tensors do not match its config.json. {text}.")


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
