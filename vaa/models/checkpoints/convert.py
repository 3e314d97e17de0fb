"""Write a checkpoint in its authors' own layout as a native one, which every Auto class loads."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from vaa.errors import OutputError, VaaError
from vaa.models.checkpoints import layout as layouts
from vaa.models.checkpoints.files import INDEX, SINGLE
from vaa.models.checkpoints.layout import Layout
from vaa.models.checkpoints.shards import TensorSource, fill

_SHARD = 4 * 2**30  # bytes of a written shard, and so the memory that a conversion takes


def main(layout: Layout, command: str, arguments: list[str] | None = None) -> int:
    """Run the command of a layout; 0 if TARGET was written, else the error on stderr and its exit status."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {command}", description=f"Write an original {layout.name} checkpoint as a native one."
    )
    parser.add_argument("source", help=f"a folder or a hub name in {layout.name}'s original layout")
    parser.add_argument("target", type=Path, help="the folder to write; it must not exist")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--image-token", type=int, help="id of the image token, for a source without a tokenizer")
    args = parser.parse_args(arguments)
    try:
        config = convert(layout, args.source, args.target, args.revision, args.image_token)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    sys.stdout.write(f"{args.target}: native {config.model_type} checkpoint written.\n")
    if config.image_token_id == layouts.NO_TOKEN:
        sys.stdout.write("SOURCE has no tokenizer: set image_token_id in its config.json, or give --image-token.\n")
    return 0


def convert(
    layout: Layout, source: str, target: Path, revision: str | None = None, image_token: int | None = None
) -> Any:
    """Write a folder or hub repository as a native checkpoint, completely or not at all; the native config.

    Raises:
        OutputError: `target` exists.
        ModelError: `source` is missing, incomplete or not in the original layout.
    """
    if target.exists():
        raise OutputError(f"{target}: exists already; give another folder or remove it.")
    folder = layouts.download(source, revision)
    config = layouts.read_config(layout, folder)
    tokenizer = layout.tokenizer(folder, config) if layouts.has_tokenizer(folder) else None
    native = layout.native_config(config, tokenizer)
    if image_token is not None:
        native.image_token_id = image_token
    image_processor = layout.image_processor(folder, config)
    generation_config = layout.generation_config(folder, config, native, tokenizer)
    tensors = fill(folder, lambda name: layout.native_tensors(name, config), native)
    parts = [native, image_processor, generation_config, tokenizer]
    write(tensors, target, [part for part in parts if part is not None])
    return native


def write(tensors: Mapping[str, TensorSource], target: Path, parts: Iterable[Any]) -> None:
    """Save tensors and parts (by their `save_pretrained`) to a temporary folder, then rename it to `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _save_shards(tensors, folder)
        for part in parts:
            part.save_pretrained(folder)
        folder.chmod(0o755)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _save_shards(tensors: Mapping[str, TensorSource], folder: Path) -> None:
    from safetensors.torch import save_file

    shards, total_size = list(_split(tensors)), 0
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        loaded = {name: tensors[name][...].contiguous() for name in names}
        save_file(loaded, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
        weight_map |= dict.fromkeys(names, file)
        total_size += sum(tensor.nbytes for tensor in loaded.values())
        del loaded  # before the next shard is loaded
    if len(shards) > 1:
        index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


def _split(tensors: Mapping[str, TensorSource]) -> Iterator[list[str]]:
    """Names of the tensors of each shard."""
    names: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        n_bytes = prod(tensor.shape) * tensor.itemsize
        if names and size + n_bytes > _SHARD:
            yield names
            names, size = [], 0
        names.append(name)
        size += n_bytes
    yield names
