"""Which files the weights of a checkpoint are read from: safetensors where there are some, else pytorch_model.bin.

A .bin file is a pickle. It is read by `torch.load(weights_only=True)`, which makes tensors and containers and refuses
everything else; transformers requires torch 2.6 for it, since that check could be evaded before (CVE-2025-32434).
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vaa.models.checkpoints.files import INDEX, PICKLED, PICKLED_INDEX, SINGLE

log = logging.getLogger("vaa")

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
        refs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs")
        return next((file.relative_to(refs).as_posix() for file in sorted(refs.glob("refs/pr/*"))), None)
    api = HfApi()
    newest = api.list_repo_commits(name)[0].commit_id
    proposals = api.get_repo_discussions(name, author=_CONVERTER, discussion_type="pull_request")
    for revision in (f"refs/pr/{proposal.num}" for proposal in proposals if proposal.status == "open"):
        if newest in [commit.commit_id for commit in api.list_repo_commits(name, revision=revision)[1:2]]:
            return revision
    return None


@cache
def _warn_pickled(path: str) -> None:
    log.warning("%s: its weights are pickled (.bin): read by torch's restricted loader, which runs no code.", path)
