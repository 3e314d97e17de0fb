"""Shards of a checkpoint in its authors' own layout as the native model's tensors, read when they are wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.models.transformers import loading

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
_BUFFER = "rotary_emb.inv_freq"  # older Llama checkpoints hold what is computed today


@dataclass(frozen=True)
class Part:
    """Which of a fused projection's three this is: 0 query, 1 key, 2 value.

    InternLM2 lays the rows out by groups, `heads` = (groups, query heads in each); others have one after the other.
    """

    index: int
    heads: tuple[int, int] | None = None


Targets = tuple[tuple[str, Part | None], ...]
"""The native tensors that one original tensor fills, and which part of it each is."""


@dataclass(frozen=True, eq=False)
class TensorSource:
    """A tensor of the native model: one of a shard, or the rows of a fused one; sliced, it is read."""

    shard: Any
    name: str
    part: Part | None

    @property
    def shape(self) -> tuple[int, ...]:
        """From the shard's header."""
        rows, *rest = self.shard.get_slice(self.name).get_shape()
        if self.part is None:
            return (rows, *rest)
        queries = self.part.heads[1] if self.part.heads else 1
        share = queries if self.part.index == 0 else 1
        return (rows * share // (queries + 2) if rows % (queries + 2) == 0 else rows, *rest)

    def __getitem__(self, index: Any) -> Any:
        tensor = self.shard.get_slice(self.name)
        if self.part is None:
            return tensor[index]
        which, rows = self.part.index, self.shape[0]
        if self.part.heads is None:
            return tensor[which * rows : (which + 1) * rows][index]
        groups, queries = self.part.heads
        fused = tensor[:]
        by_group = fused.view(groups, queries + 2, -1, *fused.shape[1:])
        chosen = by_group[:, :queries] if which == 0 else by_group[:, queries + which - 1]
        return chosen.reshape(rows, *fused.shape[1:])[index]


def fill(folder: Path, targets: Callable[[str], Targets], native: Any) -> dict[str, TensorSource]:
    """Every tensor of the native model by name; nothing is read yet but headers.

    Raises:
        VaaError: a shard cannot be read, or a tensor is unknown, missing, filled twice or of another shape.
    """
    filled: dict[str, TensorSource] = {}
    unknown, twice = [], []
    for shard, name in _tensors(folder):
        found = () if name.endswith(_BUFFER) else targets(name)
        if not found and not name.endswith(_BUFFER):
            unknown.append(name)
        for target, part in found:
            if target in filled:
                twice.append(f"{target} (by {filled[target].name} and {name})")
            filled[target] = TensorSource(shard, name, part)
    shapes = _shapes(native)
    tied = {"lm_head.weight"} if native.tie_word_embeddings else set()
    strange = [
        f"{filled[name].name} ({list(filled[name].shape)} for {list(shape)})"
        for name, shape in shapes.items()
        if name in filled and filled[name].shape != shape
    ]
    _agree(
        folder,
        {
            "unknown": unknown + [filled[name].name for name in filled.keys() - shapes.keys()],
            "missing": sorted(shapes.keys() - filled.keys() - tied),
            "filled twice": twice,
            "of another shape": strange,
        },
    )
    return filled


def native_class(native: Any) -> Any:
    """The class of transformers that a native config is of."""
    import transformers

    return getattr(transformers, native.architectures[0])


def _tensors(folder: Path) -> Iterator[tuple[Any, str]]:
    """Each shard, open, with the name of each tensor in it."""
    from safetensors import SafetensorError, safe_open

    loading.check_shards(folder)
    index = _index(folder)
    for file in sorted(set(index.values())) if index else [SINGLE]:
        said = {name for name in index if index[name] == file}
        if not (folder / file).is_file():
            holds = f", which holds {_few(sorted(said))}" if said else " (weights in another format are not read)"
            raise VaaError(f"{folder}: {file} is missing{holds}.")
        try:
            shard: Any = safe_open(folder / file, framework="pt")
        except (SafetensorError, OSError) as error:
            raise VaaError(f"{folder / file}: not a whole safetensors file: {error}") from error
        held = set(shard.keys())
        if index and held != said:
            raise VaaError(f"{folder}: {file} and {INDEX} do not agree on {_few(sorted(held ^ said))}.")
        yield from ((shard, name) for name in shard.keys())  # noqa: SIM118 - not a mapping


def _index(folder: Path) -> dict[str, str]:
    """Tensor -> shard, as the index says; empty if there is none."""
    file = folder / INDEX
    if not file.is_file():
        return {}
    try:
        return {
            str(name): str(shard) for name, shard in json.loads(file.read_text(encoding="utf-8"))["weight_map"].items()
        }
    except (ValueError, KeyError, AttributeError) as error:
        raise VaaError(f"{file}: not an index of shards: {error}") from error


def _shapes(native: Any) -> dict[str, tuple[int, ...]]:
    """Every tensor that the native model wants, with its shape; no memory is taken."""
    import torch

    with torch.device("meta"):
        model = native_class(native)(native)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _agree(folder: Path, problems: Mapping[str, Sequence[str]]) -> None:
    found = "; ".join(f"{len(names)} {kind}: {_few(names)}" for kind, names in problems.items() if names)
    if found:
        raise VaaError(f"{folder}: the tensors are not those of a model with this config.json. {found}.")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
