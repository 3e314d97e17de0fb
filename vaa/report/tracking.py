"""One Weights & Biases run a job: config and choices as columns, every number in the summary."""

from __future__ import annotations

import logging
import netrc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from vaa.report import wandb_artifacts, wandb_classes, wandb_curves, wandb_segments, wandb_videos
from vaa.report.numbers import seconds
from vaa.report.wandb_found import Found
from vaa.types import VaaError

log = logging.getLogger("vaa")
_HOME = "https://api.wandb.ai"  # where keys of W&B's own service were kept before it had another address
_ROOM = 2**16  # bytes free where W&B writes, below which it may have lost something: it does not say so itself
MODES = ("auto", "online", "offline", "disabled")


@dataclass(frozen=True)
class Tracking:
    """Where runs are logged; mode `auto` is online where somebody is logged in, else offline.

    Tables are bounded: `pictures` videos are shown in pictures, the table of segments has `segments` rows. `artifacts`:
    data, answers and scores are kept as artifacts.
    """

    mode: str
    project: str
    entity: str | None
    group: str | None
    name: str | None
    tags: list[str]
    pictures: int
    segments: int
    artifacts: bool

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise VaaError(f"wandb.mode={self.mode}: choose one of {', '.join(MODES)}.")
        if self.pictures < 0 or self.segments < 0:
            raise VaaError(f"wandb.pictures={self.pictures}, wandb.segments={self.segments}: must not be negative.")

    @contextmanager
    def run(self, columns: Mapping[str, Any], folder: Path) -> Iterator[Tracked]:
        """A run whose files lie in the job's own folder; finished, as failed, also when the job is.

        Where W&B cannot start, the log says so and the job goes on without.
        """
        tracked = Tracked(self._start(columns, folder), self, folder)
        try:
            yield tracked
        except BaseException as error:
            tracked.finish(error)
            raise
        tracked.finish(None)

    def _start(self, columns: Mapping[str, Any], folder: Path) -> Any:
        """A W&B run; None where it is disabled or fails; offline where it should be online and cannot."""
        mode = self.mode if self.mode != "auto" else os.environ.get("WANDB_MODE") or default_mode()
        for attempt in {"disabled": (), "online": ("online", "offline")}.get(mode, (mode,)):
            with guarded(f"the run ({attempt})"):
                return self._init(attempt, columns, folder)
        return None

    def _init(self, mode: Any, columns: Mapping[str, Any], folder: Path) -> Any:
        import wandb

        return wandb.init(
            project=self.project,
            entity=self.entity,
            group=self.group,
            name=self.name,
            tags=self.tags,
            config={**columns, "git_commit": commit()},
            dir=str(folder),
            mode=mode,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )


@dataclass(frozen=True)
class Tracked:
    """A W&B run under way, or None: then nothing is drawn, decoded or written."""

    run: Any
    limits: Tracking
    folder: Path

    def log(self, metrics: Mapping[str, Any], notices: Sequence[str], found: Found) -> None:
        """Every number as a column, the tables, the curves, the artifacts; what fails of them is named in the log."""
        if self.run is None:
            return
        method = str(self.run.config.get("method", "run"))
        with guarded("the numbers"):
            failed = [f"{failure.video} ({failure.stage}): {failure.reason}" for failure in found.outcome.failures]
            told = {**metrics, **seconds(found.outcome), "notices": list(notices), "failures": failed}
            self.run.summary.update(told)
        with guarded("the curves"):
            self.run.log(wandb_curves.charts(found, self.limits.name or method), step=0)
        self._table("classes", lambda: self._classes(found))
        self._table("videos", lambda: wandb_videos.rows(found, self.limits.pictures))
        self._table("segments", lambda: self._segments(found))
        if self.limits.artifacts:
            with guarded("the artifacts"):
                wandb_artifacts.log_lineage(self.run, found, method, metrics, self.folder)

    def finish(self, error: BaseException | None) -> None:
        """End the run, as failed if there is an error."""
        if self.run is None:
            return
        with guarded("the end of the run"):
            if error is not None:
                self.run.summary["error"] = str(error)
            self.run.finish(exit_code=0 if error is None else 1)
            kept = Path(self.run.dir).parent
            if self.run.offline and kept.is_dir() and shutil.disk_usage(kept).free < _ROOM:
                log.error("W&B: the disk is full, the run kept in %s may not be whole. Everything else is.", kept)
            elif self.run.offline:
                log.info("W&B run kept here; send it with: wandb sync %s", kept)

    def _classes(self, found: Found) -> list[dict[str, Any]]:
        rows = wandb_classes.rows(found)
        self.run.summary.update(wandb_classes.summary(rows))
        return rows

    def _segments(self, found: Found) -> list[dict[str, Any]]:
        rows, total = wandb_segments.rows(found, self.limits.segments)
        if len(rows) < total:
            log.info("W&B: %d of %d segments are in the table (wandb.segments)", len(rows), total)
        return rows

    def _table(self, name: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
        with guarded(f"the table of {name}"):
            import wandb

            told = rows()
            if told:
                data = [list(row.values()) for row in told]
                self.run.log({f"tables/{name}": wandb.Table(columns=list(told[0]), data=data)}, step=0)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """What goes wrong at W&B is said and costs the run nothing else."""
    try:
        yield
    except Exception as error:
        log.debug("W&B", exc_info=True)
        log.warning("W&B: %s is missing (%s: %s); the results here are whole.", what, type(error).__name__, error)


def default_mode() -> str:
    """Online if a key is at hand, in the environment or in the netrc file; else offline."""
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    import wandb

    named = os.environ.get("WANDB_BASE_URL")
    hosts = [urlparse(url).hostname or "" for url in ([named] if named else [wandb.Settings().base_url, _HOME])]
    with suppress(OSError, netrc.NetrcParseError):
        known = netrc.netrc()
        if any(known.authenticators(host) for host in hosts):
            return "online"
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
