"""One Weights & Biases run a job: config and choices as columns, every number in the summary."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.metrics import seconds
from vaa.tracking import artifacts as wandb_artifacts
from vaa.tracking import classes, videos
from vaa.tracking import curves as wandb_curves
from vaa.tracking import segments as wandb_segments
from vaa.tracking.mode import default_mode, time_to_start
from vaa.tracking.service import Service, wanted

log = logging.getLogger("vaa")
_ROOM = 2**16  # bytes free where W&B writes, below which it may have lost something: it does not say so itself
MODES = ("auto", "online", "offline", "disabled")


@dataclass(frozen=True)
class Tracking:
    """Where runs are logged; mode `auto` is online where somebody is logged in, else offline.

    Tables are bounded: `pictures` videos are shown in pictures, the table of segments has `segments` rows. `artifacts`:
    data, answers and scores are kept as artifacts. A call to W&B is waited for `patience` seconds.
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
    patience: float

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise VaaError(f"wandb.mode={self.mode}: choose one of {', '.join(MODES)}.")
        if self.pictures < 0 or self.segments < 0:
            raise VaaError(f"wandb.pictures={self.pictures}, wandb.segments={self.segments}: must not be negative.")
        if not self.patience > 0:
            raise VaaError(f"wandb.patience={self.patience}: give seconds, more than 0.")

    @contextmanager
    def run(self, columns: Mapping[str, Any], folder: Path) -> Iterator[Tracked]:
        """A run whose files lie in the job's own folder; finished, as failed, also when the job is.

        Where W&B cannot start, or stops answering, the log says so and the job goes on without.
        """
        tracked = Tracked(self, columns, folder, Service(self.patience))
        mode = self.mode if self.mode != "auto" else os.environ.get("WANDB_MODE") or default_mode()
        tracked.begin(*{"disabled": (), "online": ("online", "offline")}.get(mode, (mode,)))
        try:
            yield tracked
        except BaseException as error:
            tracked.finish(error)
            raise
        tracked.finish(None)

    def begin(self, mode: Any, columns: Mapping[str, Any], folder: Path, id_: str | None) -> Any:
        """A W&B run."""
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
            id=id_,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )


@dataclass
class Tracked:
    """A W&B run under way, or None: then nothing is drawn, decoded or written."""

    limits: Tracking
    columns: Mapping[str, Any]
    folder: Path
    service: Service
    run: Any = None
    _said: tuple[Any, ...] = ()

    def begin(self, *modes: str) -> None:
        """Begin a run in the first of these modes in which W&B can."""
        id_ = self.run.id if self.run is not None else None
        self.run = None
        for mode in modes:
            start = Service(self.limits.patience + time_to_start())  # W&B's own end comes first
            self.run = start.told(f"the run ({mode})", partial(self.limits.begin, mode, self.columns, self.folder, id_))
            if self.run is not None:
                return

    def log(self, metrics: Mapping[str, Any], notices: Sequence[str], found: Evaluation) -> None:
        """Every number as a column, the tables, the curves, the artifacts; what fails of them is named in the log."""
        if self.run is None:
            return
        self._said = metrics, notices, found
        method = str(self.run.config.get("method", "run"))
        failed = [f"{failure.video} ({failure.stage}): {failure.reason}" for failure in found.result.failures]
        told = {**metrics, **seconds(found.result), "notices": list(notices), "failures": failed}
        self.service.told("the numbers", lambda: self.run.summary.update(told))
        with wanted("the curves"):
            curves = wandb_curves.charts(found, self.limits.name or method)
            self.service.told("the curves", lambda: self.run.log(curves, step=0))
        self._table("classes", lambda: self._classes(found))
        self._table("videos", lambda: videos.rows(found, self.limits.pictures))
        self._table("segments", lambda: self._segments(found))
        if self.limits.artifacts:
            log_all = partial(wandb_artifacts.log_lineage, self.run, found, method, metrics, self.folder)
            self.service.told("the artifacts", log_all)

    def finish(self, error: BaseException | None) -> None:
        """End the run, as failed if there is an error; one whose service was given up is told again, to the disk."""
        if self.run is None:
            return
        self.service.told("the end of the run", lambda: self._end(error))
        if self.service.given_up and not self.run.offline:
            self.service = Service(self.limits.patience)
            self.begin("offline")
            if self._said:
                self.log(*self._said)
            self.finish(error)
        elif self.run.offline:
            self._say_where()

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self.run.summary["error"] = str(error)
        self.run.finish(exit_code=0 if error is None else getattr(error, "exit_status", 1))

    def _say_where(self) -> None:
        kept = Path(self.run.dir).parent
        if kept.is_dir() and shutil.disk_usage(kept).free < _ROOM:
            log.error("W&B: the disk is full, the run kept in %s may not be whole. Everything else is.", kept)
        else:
            log.info("W&B run kept here; send it with: wandb sync %s", kept)

    def _classes(self, found: Evaluation) -> list[dict[str, Any]]:
        rows = classes.rows(found)
        self.service.told("the numbers of classes", lambda: self.run.summary.update(classes.summary(rows)))
        return rows

    def _segments(self, found: Evaluation) -> list[dict[str, Any]]:
        rows, total = wandb_segments.rows(found, self.limits.segments)
        if len(rows) < total:
            log.info("W&B: %d of %d segments are in the table (wandb.segments)", len(rows), total)
        return rows

    def _table(self, name: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
        if self.service.given_up:  # nothing is drawn or decoded for nobody
            return
        with wanted(f"the table of {name}"):
            import wandb

            if told := rows():
                table = wandb.Table(columns=list(told[0]), data=[list(row.values()) for row in told])
                self.service.told(f"the table of {name}", lambda: self.run.log({f"tables/{name}": table}, step=0))


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
