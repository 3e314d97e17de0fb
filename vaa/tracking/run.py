"""One W&B run per job: config and choices as columns, metrics in the summary, tables, curves, artifacts."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vaa.errors import ConfigError, exit_status
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.run_metrics import stage_seconds
from vaa.installation import CHECKOUT
from vaa.process import PROJECT_ROOT
from vaa.tracking import tables
from vaa.tracking.artifacts import log_artifacts
from vaa.tracking.media import curve_charts
from vaa.tracking.service import Service, default_mode, init_timeout, log_errors
from vaa.types import Video

log = logging.getLogger("vaa")
MODES = ("auto", "online", "offline", "disabled")
_MIN_FREE_BYTES = 2**16  # with less W&B may have lost data, which it does not report
_REFERENCE = re.compile(r"\$\{[^{}]+\}")
Name = str | int | float
"""A text; one that looks like a number is parsed as a number from the command line."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where runs are logged; mode `auto` is online where the user is logged in, else offline.

    `pictures`: the number of videos with pictures in the table of videos. `segments`: the rows of the table of
    segments. `artifacts`: log data, answers and scores as artifacts. `timeout`: seconds that a call to W&B may take.
    Numbers as names, group or tags are logged as text.

    Raises:
        ConfigError: a field is not a choice, negative, or a name that W&B refuses.
    """

    mode: str
    project: Name
    entity: Name | None
    group: Name | None
    name: Name | None
    tags: list[Name]
    pictures: int
    segments: int
    artifacts: bool
    timeout: float

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"wandb.mode={self.mode}: choose one of {', '.join(MODES)}.")
        if self.pictures < 0 or self.segments < 0:
            raise ConfigError(f"wandb.pictures={self.pictures}, wandb.segments={self.segments}: must not be negative.")
        if not self.timeout > 0:
            raise ConfigError(f"wandb.timeout={self.timeout}: give seconds, more than 0.")

    @contextmanager
    def run(self, columns: Mapping[str, Any], folder: Path, job: int | None = None) -> Iterator[TrackedRun]:
        """A run whose files are in the job's own folder; where the job raises, it is finished as failed.

        `job` is the number of a job of a multirun: it is appended to WANDB_RUN_ID, which would make all jobs one run.
        Where W&B cannot start or stops responding, a warning is logged and the job continues without it.

        Raises:
            ConfigError: W&B refuses the project, a tag or the run's id, or an entity has a slash.
        """
        mode = self.mode if self.mode != "auto" else os.environ.get("WANDB_MODE") or default_mode()
        run_id = os.environ.get("WANDB_RUN_ID")
        if mode != "disabled":
            self._check_names(run_id)
            if run_id and job is not None:
                log.info("W&B: WANDB_RUN_ID=%s is that of a single run; this job's id is %s-%d.", run_id, run_id, job)
                run_id = f"{run_id}-{job}"
        tracked = TrackedRun(tracking=self, columns=columns, folder=folder, run_id=run_id or None)
        tracked.start(*{"disabled": (), "online": ("online", "offline")}.get(mode, (mode,)))
        try:
            yield tracked
        except BaseException as error:
            tracked.finish(error)
            raise
        tracked.finish(None)

    def init(self, mode: Any, columns: Mapping[str, Any], folder: Path, run_id: str | None) -> Any:
        """A W&B run."""
        import wandb

        return wandb.init(
            project=_text(self.project),
            entity=_text(self.entity),
            group=_text(self.group),
            name=_text(self.name),
            tags=[str(tag) for tag in self.tags],
            config={**columns, "git_commit": git_commit()},
            dir=str(folder),
            mode=mode,
            id=run_id,
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def _check_names(self, run_id: str | None) -> None:
        """Refuse before the work what W&B would refuse when the run starts, by W&B's own rules."""
        import wandb

        project, entity = str(self.project), _text(self.entity)
        tags = [str(tag) for tag in self.tags]
        values: dict[str, tuple[str, Any]] = {"wandb.project": ("project", project), "wandb.tags": ("run_tags", tags)}
        if run_id is not None:
            values["WANDB_RUN_ID"] = ("run_id", run_id)
        for key, (setting, value) in values.items():
            try:
                wandb.Settings(**{setting: value})
            except (wandb.errors.UsageError, ValueError) as error:
                team, slash, rest = project.partition("/")
                hint = f" Give the team by wandb.entity={team} wandb.project={rest}." if slash and team and rest else ""
                raise ConfigError(
                    f"{key}={value}: W&B refuses it ({_reason(error)}).{hint if key == 'wandb.project' else ''} "
                    "Or choose wandb.mode=disabled."
                ) from error
        if entity is not None and "/" in entity:
            raise ConfigError(f"wandb.entity={entity}: an entity is one name; the project is given by wandb.project.")


@dataclass(kw_only=True)
class TrackedRun:
    """A W&B run in progress. Where `run` is None, nothing is computed, decoded or written."""

    tracking: Tracking
    columns: Mapping[str, Any]
    folder: Path
    run_id: str | None = None
    run: Any = None
    service: Service = field(init=False)
    _logged: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.service = Service(self.tracking.timeout)

    def start(self, *modes: str) -> None:
        """Start a run in the first of these modes in which W&B can."""
        run_id = self.run.id if self.run is not None else self.run_id
        self.run = None
        for mode in modes:
            starting = Service(self.tracking.timeout + init_timeout())  # longer than W&B's own timeout
            init = partial(self.tracking.init, mode, self.columns, self.folder, run_id)
            self.run = starting.call(f"the run ({mode})", init)
            if self.run is not None:
                return

    def log(
        self,
        *,
        metrics: Mapping[str, float],
        notices: Sequence[str],
        evaluation: Evaluation,
        videos: Sequence[Video],
        decoder: str,
    ) -> None:
        """Log metrics, tables, curves and artifacts; a warning names those that fail.

        `videos`: those of the data set, failed ones included. `decoder`: of the frames that are shown.
        """
        if self.run is None:
            return
        self._logged = {"metrics": metrics, "notices": notices, "evaluation": evaluation}
        self._logged |= {"videos": videos, "decoder": decoder}
        method = str(self.run.config.get("method", "run"))
        failures = [f"{failure.video} ({failure.stage}): {failure.reason}" for failure in evaluation.failures]
        summary = {
            **metrics,
            **stage_seconds(evaluation.stats),
            "notices": list(notices),
            "failures": failures,
        }
        self.service.call("the summary", lambda: self.run.summary.update(summary))
        with log_errors("the curves"):
            charts = curve_charts(evaluation, _text(self.tracking.name) or method)
            self.service.call("the curves", lambda: self.run.log(charts, step=0))
        self._table("classes", lambda: self._class_rows(evaluation))
        self._table("videos", lambda: tables.video_rows(evaluation, videos, decoder, self.tracking.pictures))
        self._table("segments", lambda: self._segment_rows(evaluation))
        if self.tracking.artifacts:
            action = partial(log_artifacts, self.run, evaluation, videos, method, metrics, self.folder)
            self.service.call("the artifacts", action)

    def finish(self, error: BaseException | None) -> None:
        """End the run, as failed if there is an error; where the service was abandoned, log all of it offline again."""
        if self.run is None:
            return
        self.service.call("the end of the run", lambda: self._end(error))
        if self.service.abandoned and not self.run.offline:
            self.service = Service(self.tracking.timeout)
            self.start("offline")
            if self._logged:
                self.log(**self._logged)
            self.finish(error)
        elif self.run.offline:
            self._log_folder()

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self.run.summary["error"] = str(error)
        self.run.finish(exit_code=0 if error is None else exit_status(error))

    def _log_folder(self) -> None:
        folder = Path(self.run.dir).parent
        if folder.is_dir() and shutil.disk_usage(folder).free < _MIN_FREE_BYTES:
            log.error("W&B: the disk is full, the run in %s may be incomplete. All other results are complete.", folder)
        else:
            log.info("W&B run written to disk; upload it with: wandb sync %s", folder)

    def _class_rows(self, evaluation: Evaluation) -> list[tables.Row]:
        rows = tables.class_rows(evaluation)
        summary = {f"class_auc/{row['class']}": row["roc_auc"] for row in rows}
        self.service.call("the AUC of classes", lambda: self.run.summary.update(summary))
        return rows

    def _segment_rows(self, evaluation: Evaluation) -> list[tables.Row]:
        rows, total = tables.segment_rows(evaluation, self.tracking.segments)
        if len(rows) < total:
            log.info("W&B: %d of %d segments are in the table (wandb.segments)", len(rows), total)
        return rows

    def _table(self, name: str, make_rows: Callable[[], list[tables.Row]]) -> None:
        if self.service.abandoned:
            return
        with log_errors(f"the table of {name}"):
            import wandb

            if rows := make_rows():
                table = wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
                self.service.call(f"the table of {name}", lambda: self.run.log({f"tables/{name}": table}, step=0))


def _text(name: Name | None) -> str | None:
    return None if name is None else str(name)


def _reason(error: Exception) -> str:
    """What W&B says about one setting: the line of its message that is not about pydantic."""
    lines = [line.strip() for line in str(error).splitlines()]
    return re.sub(r"^Value error, |\s*\[type=.*$", "", lines[2] if len(lines) > 2 else lines[0])


def git_commit() -> str | None:
    """The commit of the source tree, with `+` if it has been changed since; None without such a tree or git."""
    if not CHECKOUT:
        return None
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def config_columns(
    config: Mapping[str, Any], resolved: Mapping[str, Any], choices: Mapping[str, Any]
) -> dict[str, Any]:
    """Column -> value: `smoothing` is the choice, `smoothing.sigma` its number; both are also the keys of overrides.

    `config` is the composed configuration with its interpolations, `resolved` without: a reference to another place
    (`${window}`) has no column of its own. The blocks `wandb` and `run` have none either, nor have Hydra's own
    choices.
    """
    references = {key for key, value in _leaves(config) if isinstance(value, str) and _REFERENCE.fullmatch(value)}
    values = {
        key: value
        for key, value in _leaves(resolved)
        if not key.startswith(("wandb.", "run."))
        and not any(key == ref or key.startswith(f"{ref}.") for ref in references)
    }
    groups = {name: option for name, option in choices.items() if name != "run" and not name.startswith("hydra/")}
    return {**values, **groups}


def job_name(swept: Mapping[str, Sequence[str]], overrides: Sequence[str], number: int) -> str:
    """A name that distinguishes a job from the others of its multirun: its overrides of the swept keys.

    The job's number is added where a key takes one value twice, or values that are not known beforehand; without any
    known swept keys all overrides are named.
    """
    differing = ",".join(override for override in overrides if not swept or override.split("=", 1)[0] in swept)
    unique = swept and all(values and len({*values}) == len(values) for values in swept.values())
    return differing if unique else f"{differing} #{number}".strip()


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}".strip("."))
    else:
        yield key, value
