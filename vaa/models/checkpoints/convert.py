"""Writing a checkpoint that is in its authors' own layout as a native one: once, then for anybody's Auto class."""

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

from vaa.errors import VaaError
from vaa.models.checkpoints import layout as original
from vaa.models.checkpoints.shards import INDEX, SINGLE, TensorSource, fill

_SHARD = 4 * 2**30  # bytes; what a conversion holds in memory at once


def main(layout: original.Layout, command: str, arguments: list[str] | None = None) -> int:
    """The command of a layout; 0 if TARGET was written, 1 with the reason on stderr if not."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {command}", description=f"Write an original {layout.name} checkpoint as a native one."
    )
    parser.add_argument("source", help=f"a folder or a hub name in {layout.name}'s original layout")
    parser.add_argument("target", type=Path, help="the folder to write; it must not exist")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument("--image-token", type=int, help="id of the image token, for a source without a tokenizer")
    given = parser.parse_args(arguments)
    try:
        written = convert(layout, given.source, given.target, given.revision, given.image_token)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{given.target}: native {written.model_type} checkpoint written.\n")
    if written.image_token_id == original.NO_TOKEN:
        sys.stdout.write("SOURCE has no tokenizer: set image_token_id in its config.json, or give --image-token.\n")
    return 0


def convert(
    layout: original.Layout, source: str, target: Path, revision: str | None = None, image_token: int | None = None
) -> Any:
    """Write SOURCE (a folder or a hub name) as a native checkpoint; TARGET is there whole or not at all.

    Raises:
        VaaError: TARGET exists, or SOURCE is missing, incomplete or not in the original layout.
    """
    if target.exists():
        raise VaaError(f"{target}: exists already; name another folder or remove it.")
    folder = original.fetch(source, revision)
    config = original.config(layout, folder)
    tokenizer = layout.tokenizer(folder, config) if original.has_tokenizer(folder) else None
    native = layout.native(config, tokenizer)
    if image_token is not None:
        native.image_token_id = image_token
    parts = [native, layout.processor(folder, config), layout.endings(folder, config, native, tokenizer)]
    tensors = fill(folder, lambda name: layout.targets(name, config), native)
    write(tensors, target, [*parts, tokenizer] if tokenizer else parts)
    return native


def write(tensors: Mapping[str, TensorSource], target: Path, parts: Iterable[Any]) -> None:
    """Save the tensors, and beside them what has a `save_pretrained`, into a folder that appears when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _save(tensors, folder)
        for part in parts:
            part.save_pretrained(folder)
        folder.chmod(0o755)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _save(tensors: Mapping[str, TensorSource], folder: Path) -> None:
    from safetensors.torch import save_file

    shards, total = list(_portions(tensors)), 0
    where: dict[str, str] = {}
    for number, portion in enumerate(shards, start=1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        held = {name: tensors[name][...].contiguous() for name in portion}
        save_file(held, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
        where |= dict.fromkeys(portion, file)
        total += sum(tensor.nbytes for tensor in held.values())
        del held
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (folder / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


def _portions(tensors: Mapping[str, TensorSource]) -> Iterator[list[str]]:
    portion: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        need = prod(tensor.shape) * _width(tensor)
        if portion and size + need > _SHARD:
            yield portion
            portion, size = [], 0
        portion.append(name)
        size += need
    yield portion


def _width(tensor: TensorSource) -> int:
    return {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}.get(tensor.shard.get_slice(tensor.name).get_dtype(), 1)
