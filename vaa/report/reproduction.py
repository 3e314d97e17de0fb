"""What it takes to do a run again: the command, the libraries, the commit and what has been changed since."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vaa.process import PROJECT_ROOT
from vaa.report import files

_LIBRARIES = (
    *("accelerate", "av", "decord", "hydra-core", "numpy", "omegaconf", "openai", "pillow", "ray", "scikit-learn"),
    *("scipy", "tokenizers", "torch", "torchvision", "transformers", "vaa", "wandb"),
)


def write(folder: Path, overrides: Sequence[str]) -> None:
    """Write `rerun.sh`, `environment.json` and, where the tree differs from its commit, `changes.diff`.

    What is given to `rerun.sh` comes behind the command's own words and counts before them.
    Nothing of the process's environment is told: keys are there.
    """
    command = shlex.join(["python", str(PROJECT_ROOT / "run.py"), *overrides])
    script = f'#!/bin/sh\ncd {shlex.quote(str(Path.cwd()))} && {command} "$@"\n'
    files.put(folder / "rerun.sh", script.encode())
    changes = _git("diff", "HEAD")
    if changes:
        files.put(folder / "changes.diff", changes)
    files.dump(folder / "environment.json", environment(bool(changes)), indent=True)


def environment(changed: bool) -> dict[str, Any]:
    """Commit and untracked files of this tree (none without git), and the versions of what a number may hang on."""
    untracked = _git("ls-files", "--others", "--exclude-standard").decode(errors="replace").splitlines()
    return {
        "commit": _git("rev-parse", "HEAD").decode().strip() or None,
        "changed": changed,
        "untracked": untracked,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


@cache  # once for all jobs of a multirun
def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> bytes:
    """What git says of this tree; nothing where there is no git or no commit."""
    try:
        return subprocess.run(["git", *words], cwd=PROJECT_ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""
