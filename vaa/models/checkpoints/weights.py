"""What identifies a checkpoint, and which files its weights are read from: safetensors, else pytorch_model.bin.

A .bin file is a pickle. It is read by `torch.load(weights_only=True)`, which makes tensors and containers and refuses
everything else; transformers requires torch 2.6 for it, since that check could be evaded before (CVE-2025-32434).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vaa.models.checkpoints.files import INDEX, PICKLED, PICKLED_INDEX, SINGLE, resolve_checkpoint
from vaa.models.checkpoints.hub import cached_folder, hub_fault, is_hub_name

log = logging.getLogger("vaa")

_MAX_HASHED_BYTES = 16 * 2**20
_CONVERTER = "SFconvertbot"
"""The hub's account that proposes converted weights."""


class WeightSource(NamedTuple):
    """A folder or hub name, its revision, and whether the weights there are in safetensors."""

    path: str
    revision: str | None
    safetensors: bool


def find_weights(path: str, revision: str | None) -> WeightSource:
    """Where to load weights from, for a checkpoint's folder or its name on the hub, which is reached or has a cache.

    A repository with .bin files only is loaded from the converted revision that the hub proposes for it, if there is
    one; else its .bin files are downloaded.

    Raises:
        OSError: the hub does not answer, or has no such repository.
    """
    revision = None if revision == "main" else revision  # "main" makes transformers ask another service to convert
    if Path(path).is_dir():
        pickled = only_pickled({file.name for file in Path(path).iterdir()})
        if pickled:
            _warn_pickled(path)
        return WeightSource(path, revision, not pickled)
    files = _hub_files(path, revision)
    if {SINGLE, INDEX} & {*files}:
        return WeightSource(path, revision, True)
    converted = None if revision else _converted_revision(path)
    if converted:
        log.info("%s has no .safetensors: loaded from the hub's own conversion, revision %s.", path, converted)
        return WeightSource(path, converted, True)
    if not only_pickled(files):
        return WeightSource(path, revision, True)  # transformers says what is missing
    _warn_pickled(path)
    return WeightSource(str(_download(path, revision)), revision, False)


def checkpoint_identity(checkpoint: str, revision: str | None) -> str:
    """Identify a checkpoint by its content: a hub name by its revision, a folder by its files.

    Weights of the hub's conversion are identified by the revision that has them too. Small files are hashed; of large
    ones size and modification time are, since hashing them takes as long as loading.
    """
    folder = Path(resolve_checkpoint(checkpoint))
    if not folder.is_dir():
        converted = _known_conversion(checkpoint) if revision in (None, "main") else None
        return f"{checkpoint}@{revision or 'main'}" + (f" {converted}" if converted else "")
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(p for p in folder.iterdir() if p.is_file()):
        stat = file.stat()
        small = stat.st_size <= _MAX_HASHED_BYTES
        digest.update(file.name.encode())
        digest.update(file.read_bytes() if small else f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return f"{folder.name}#{digest.hexdigest()}"


@cache
def _known_conversion(name: str) -> str | None:
    """The converted revision that a hub name's weights are loaded from; None where neither hub nor cache tells."""
    from huggingface_hub import constants

    if not is_hub_name(name):
        return None
    if constants.HF_HUB_OFFLINE or hub_fault():
        folder = cached_folder(name, None)
        own = folder is not None and {SINGLE, INDEX} & {file.name for file in folder.iterdir()}
        return None if own else _cached_conversion(name)
    try:
        files = _hub_files(name, None)
        return None if {SINGLE, INDEX} & {*files} else _converted_revision(name)
    except (OSError, ValueError):  # loading says what is wrong
        return None


def only_pickled(names: Collection[str]) -> bool:
    """Whether these file names of a checkpoint have weights in .bin files and none in safetensors."""
    return bool({PICKLED, PICKLED_INDEX} & {*names}) and not {SINGLE, INDEX} & {*names}


def _hub_files(name: str, revision: str | None) -> Collection[str]:
    """The names of a repository's files; offline, those in the cache."""
    from huggingface_hub import HfApi, constants

    if not constants.HF_HUB_OFFLINE:
        return HfApi().list_repo_files(name, revision=revision)
    return {file.name for file in _download(name, revision).iterdir()}


def _download(name: str, revision: str | None) -> Path:
    """A local copy of a repository without code and without formats that are not read."""
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.model", "pytorch_model*.bin"]
    return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))


def _converted_revision(name: str) -> str | None:
    """The revision in which the hub's converter added safetensors to the newest commit; None if there is none."""
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return _cached_conversion(name)
    api = HfApi()
    newest = api.list_repo_commits(name)[0].commit_id
    proposals = api.get_repo_discussions(name, author=_CONVERTER, discussion_type="pull_request")
    for revision in (f"refs/pr/{proposal.num}" for proposal in proposals if proposal.status == "open"):
        if newest in [commit.commit_id for commit in api.list_repo_commits(name, revision=revision)[1:2]]:
            return revision
    return None


def _cached_conversion(name: str) -> str | None:
    """The converted revision in the hub's cache."""
    from huggingface_hub import constants

    refs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs")
    return next((file.relative_to(refs).as_posix() for file in sorted(refs.glob("refs/pr/*"))), None)


@cache
def _warn_pickled(path: str) -> None:
    log.warning("%s: its weights are pickled (.bin): read by torch's restricted loader, which runs no code.", path)
