"""One Weights & Biases run a job: config and choices as columns, every number in the summary."""

from __future__ import annotations

import netrc
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from vaa.types import VaaError

MODES = ("auto", "online", "offline", "disabled")


@dataclass(frozen=True)
class Tracking:
    """Where runs are logged; mode `auto` is online where somebody is logged in, else offline."""

    mode: str
    project: str
    entity: str | None
    group: str | None
    name: str | None
    tags: list[str]

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise VaaError(f"wandb.mode={self.mode}: choose one of {', '.join(MODES)}.")

    @contextmanager
    def run(self, config: Mapping[str, Any], folder: Path) -> Iterator[Any]:
        """A run whose files lie in the job's own folder; finished, as failed, also when the job is."""
        import wandb

        mode: Any = self.mode if self.mode != "auto" else os.environ.get("WANDB_MODE") or default_mode()
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            group=self.group,
            name=self.name,
            tags=self.tags,
            config={**config, "git_commit": commit()},
            dir=str(folder),
            mode=mode,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )
        try:
            yield run
        except BaseException as error:
            run.summary["error"] = str(error)
            run.finish(exit_code=1)
            raise
        run.finish()


def default_mode() -> str:
    """Online if a key is at hand, in the environment or in the netrc file; else offline."""
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return "online" if netrc.netrc().authenticators(host) else "offline"
    except (OSError, netrc.NetrcParseError):
        return "offline"


def commit() -> str | None:
    """The commit of this tree, with `+` if it has been changed since."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
