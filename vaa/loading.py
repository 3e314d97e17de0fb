"""Finished runs in Python: pandas tables of runs, videos, segments and alerts, and scores as arrays."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from vaa.compare.differences import differences
from vaa.errors import ConfigError, DataError
from vaa.evaluation.roc import Labels
from vaa.report.alerts import read_alerts
from vaa.report.runs import LazyMapping, Run, find_runs, short_names, unfinished
from vaa.tracking.tables import segment_rows, video_rows
from vaa.types import Floats

log = logging.getLogger("vaa")
_GLOB = set("*?[")
_PICTURES = ("scores", "peak")


@dataclass(frozen=True)
class LoadedRun:
    """A finished run. Tables and arrays are read when they are first needed.

    Reading raises DataError where a file of the run is missing or damaged, or where the run was written with
    `details=false`.

    Attributes:
        name: Its folder, relative to the one that the runs loaded with it share.
        run: The files of its folder: `run.config`, `run.overrides`, `run.evaluation` and others.
    """

    name: str
    run: Run

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The numbers of `metrics.json`; NaN where one is not defined."""
        return {name: math.nan if value is None else value for name, value in self.run.metrics.items()}

    @cached_property
    def videos(self) -> pd.DataFrame:
        """A row per video: class, frames, seconds, highest score, AUC within the video, error, text of the peak.

        Videos come by interest: the highest-scoring and those with the largest error in turn, then those that failed.
        """
        rows = video_rows(self.run.evaluation, (), decoder="pyav", max_pictures=0)
        return pd.DataFrame(rows).drop(columns=list(_PICTURES), errors="ignore")

    @cached_property
    def segments(self) -> pd.DataFrame:
        """A row per segment: frames [start, stop), time, text and score, and the score after each stage."""
        rows, _ = segment_rows(self.run.evaluation, max_rows=sys.maxsize)
        return pd.DataFrame(rows)

    @cached_property
    def alerts(self) -> pd.DataFrame:
        """A row per alert, the highest first, as in `alerts.json`; no row where the run wrote none."""
        content = read_alerts(self.folder)
        return pd.DataFrame(content["alerts"] if content else [])

    @cached_property
    def scores(self) -> Mapping[str, Floats]:
        """Video -> its final scores, shape (frames,), of the videos that have some."""
        evaluation = self.run.evaluation
        scored = [video for video in evaluation.reports if evaluation.video_scores(video) is not None]
        return LazyMapping(scored, lambda video: self.track(video))

    @property
    def labels(self) -> Mapping[str, Labels]:
        """Video -> which frames are anomalous by the run's protocol, shape (frames,); only of labelled videos."""
        return self.run.evaluation.labels

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in order."""
        history = self.run.evaluation.history
        return tuple(dict.fromkeys(name for video in history for name in history[video]))

    def track(self, video: str, stage: str | None = None) -> Floats:
        """The scores of a video after a stage, the last one by default; shape (frames,), NaN where there is none.

        Raises:
            ConfigError: there is no such video or stage, or no score after that stage.
        """
        evaluation = self.run.evaluation
        if video not in evaluation.reports:
            raise ConfigError(f"{self.folder}: no video '{video}'.")
        reports = evaluation.history[video]
        if stage is not None and stage not in reports:
            raise ConfigError(f"{self.folder}: no stage '{stage}'. The stages: {', '.join(reports)}.")
        report = evaluation.reports[video] if stage is None else reports[stage]
        if report.track is None:
            raise ConfigError(f"{self.folder}: '{video}' has no scores{f' after stage {stage}' if stage else ''}.")
        return evaluation.protocol.expand(report.video, report.track)


@dataclass(frozen=True)
class LoadedRuns(Sequence[LoadedRun]):
    """Finished runs in the order of their folders' names, by index or by name; tables have a column `run`."""

    items: tuple[LoadedRun, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[LoadedRun]:
        return iter(self.items)

    def __getitem__(self, key: Any) -> Any:
        """A run by its index or name, or the runs of a slice.

        Raises:
            KeyError: no run has this name.
        """
        if isinstance(key, str):
            return {item.name: item for item in self.items}[key]
        return LoadedRuns(self.items[key]) if isinstance(key, slice) else self.items[key]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run, by name: the settings in which the runs differ, the metrics, the folder."""
        settings = differences([item.run for item in self.items]) if len(self.items) > 1 else {}
        names = pd.Index([item.name for item in self.items], name="run")
        columns = pd.DataFrame({name: _numbers(values) for name, values in settings.items()}, index=names)
        table = pd.concat([columns, pd.DataFrame([item.metrics for item in self.items], index=names)], axis="columns")
        return table.assign(folder=[str(item.folder) for item in self.items])

    @cached_property
    def videos(self) -> pd.DataFrame:
        """The rows of all runs' videos."""
        return self._table(lambda item: item.videos)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """The rows of all runs' segments."""
        return self._table(lambda item: item.segments)

    @cached_property
    def alerts(self) -> pd.DataFrame:
        """The rows of all runs' alerts."""
        return self._table(lambda item: item.alerts)

    def _table(self, rows: Callable[[LoadedRun], pd.DataFrame]) -> pd.DataFrame:
        tables = [rows(item).assign(run=item.name) for item in self.items]
        table = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
        return table[["run", *(name for name in table.columns if name != "run")]]


def load_run(folder: str | Path) -> LoadedRun:
    """A finished run.

    Raises:
        DataError: the folder is not that of one finished run.
    """
    path = Path(folder)
    if not (path / "metrics.json").is_file():
        raise DataError(
            f"{path}: not the folder of a finished run (no metrics.json); load_runs takes a folder of many."
        )
    run = Run(path)
    return LoadedRun(short_names([run])[0], run)


def load_runs(folders: str | Path | Sequence[str | Path]) -> LoadedRuns:
    """The finished runs in these folders; runs that did not finish are named in a warning.

    Args:
        folders: a run's folder, a multirun's, one that holds many, a pattern such as `outputs/*/2026-11-*`, or a list.

    Raises:
        DataError: a folder holds no finished run, or no folder fits a pattern.
    """
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    found = [folder for each in given for folder in _matching(str(each))]
    runs = list({run.folder.resolve(): run for run in find_runs(found)}.values())
    if not runs:
        raise DataError("load_runs: no folder is given.")
    if left_out := unfinished(found):
        log.warning("Not loaded, without metrics.json: %s", ", ".join(map(str, left_out)))
    return LoadedRuns(tuple(LoadedRun(name, run) for name, run in zip(short_names(runs), runs, strict=True)))


def _matching(pattern: str) -> list[str]:
    """The folders with runs that a pattern fits; a path without wildcards, or of an existing folder, is itself."""
    if not _GLOB & set(pattern) or Path(pattern).is_dir():
        return [pattern]
    path = Path(pattern)
    found = sorted(Path(path.anchor).glob(path.relative_to(path.anchor).as_posix()))
    folders = [str(folder) for folder in found if any(folder.rglob("metrics.json"))]
    if not folders:
        raise DataError(f"{pattern}: no folder with a finished run fits this pattern.")
    return folders


def _numbers(values: Sequence[str]) -> list[Any]:
    """The values as numbers if all of them are."""
    try:
        return [float(value) if not value.lstrip("+-").isdecimal() else int(value) for value in values]
    except ValueError:
        return list(values)
