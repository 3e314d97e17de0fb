"""A finished run, read back from its folder; comparing runs and drawing pages need nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import numpy as np
import orjson
import yaml

from vaa.data.masks import OutlineMasks
from vaa.errors import DataError
from vaa.evaluation import metric_sets
from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.roc import Labels
from vaa.report import report_file
from vaa.types import Box, Failure, GroundTruth, Report, Span, file_name

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A run's folder; each part is read when it is first needed.

    Reading any of them raises DataError where a file of the run is missing or damaged.
    """

    folder: Path

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """The numbers of `metrics.json`; None where one is not defined."""
        content = self._json("metrics.json")
        return {name: value for name, value in content.items() if not isinstance(value, str)}

    @cached_property
    def performance(self) -> dict[str, dict[str, Any]]:
        """The content of `performance.json`: stage -> its seconds, queries, waiting and memory."""
        return dict(self._json("performance.json")["stages"])

    @cached_property
    def notices(self) -> list[str]:
        """What a reader of the numbers must know."""
        return list(self._json("notices.json"))

    @cached_property
    def failures(self) -> list[Failure]:
        """The videos that failed."""
        return [Failure(**failure) for failure in self._json("failures.json")]

    @cached_property
    def truth(self) -> dict[str, Any]:
        """The content of `truth.json`: `data`, `protocol` and `videos`, the ground truth of each that has labels."""
        return dict(self._json("truth.json"))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed configuration."""
        return dict(self._yaml(".hydra/config.yaml"))

    @cached_property
    def choices(self) -> dict[str, str]:
        """Config group -> the chosen option."""
        choices = self._yaml(".hydra/hydra.yaml")["hydra"]["runtime"]["choices"]
        return {group: str(name) for group, name in choices.items() if not group.startswith("hydra/")}

    @cached_property
    def cwd(self) -> Path:
        """The folder in which run.py was started, to which the run's paths are relative; this one if unknown."""
        try:
            return Path(self._yaml(".hydra/hydra.yaml")["hydra"]["runtime"]["cwd"])
        except DataError:
            return Path()

    @cached_property
    def overrides(self) -> list[str]:
        """The overrides on the command line."""
        return [str(override) for override in self._yaml(".hydra/overrides.yaml")]

    @cached_property
    def videos(self) -> list[str]:
        """The ids of the videos that have a report, by their files' names."""
        self._check_details()
        return [unquote(file.stem) for file in sorted((self.folder / "reports").glob("*.json"))]

    @cached_property
    def evaluation(self) -> Evaluation:
        """The run's evaluation, with the same reports as in the process that ran it; they are read as needed.

        Its protocol names no label file, since the labels are those of `truth.json`, already counted.
        """
        self._check_details()
        with self._damage("truth.json"):
            truths = {video: _truth(content) for video, content in self.truth["videos"].items()}
            labels = {video: _labels(content) for video, content in self.truth["videos"].items()}
            fields = {"smooth": 0.0, "transform": "none", "metrics": {}, **self.truth["protocol"], "labels": None}
            protocol = Protocol(**{**fields, "metrics": metric_sets.decode(fields["metrics"])})
            data = str(self.truth["data"])
        return Evaluation(
            data=data,
            protocol=protocol,
            reports=LazyMapping(self.videos, self._report),
            history=LazyMapping(self.videos, self._history),
            truths=truths,
            labels=labels,
            failures=self.failures,
            tracks=LazyMapping(self.videos, self._track),
        )

    def _track(self, video: str) -> Report:
        """The report after the last stage with nothing but its track."""
        with self._damage(f"reports/{file_name(video)}"):
            return report_file.decode_track(self._content(video))

    def _report(self, video: str) -> Report:
        """The report after the last stage."""
        start, history = self._read(video)
        return next(reversed(history.values()), start)

    def _history(self, video: str) -> dict[str, Report]:
        return self._read(video)[1]

    def _read(self, video: str) -> tuple[Report, dict[str, Report]]:
        if video not in self._latest_reports:
            content, truth = self._content(video), self.truth["videos"].get(video)
            self._latest_reports.clear()
            with self._damage(f"reports/{file_name(video)}"):
                self._latest_reports[video] = report_file.decode(content, None if truth is None else _truth(truth))
        return self._latest_reports[video]

    def _content(self, video: str) -> Any:
        if video not in self._latest_content:
            self._check_details()
            content = self._json(f"reports/{file_name(video)}")
            self._latest_content.clear()
            self._latest_content[video] = content
        return self._latest_content[video]

    # Only the video that was read last: its scores and texts are mostly needed one after another.
    @cached_property
    def _latest_content(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _latest_reports(self) -> dict[str, tuple[Report, dict[str, Report]]]:
        return {}

    def _check_details(self) -> None:
        config = self.folder / ".hydra" / "config.yaml"
        if not (self.folder / "reports").is_dir() and config.is_file() and self.config.get("details") is False:
            raise DataError(
                f"{self.folder}: written with details=false, without scores and reports of its videos. To get them: "
                f"sh {self.folder / 'rerun.sh'} details=true"
            )

    @contextmanager
    def _damage(self, name: str) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{self.folder}: {name} is damaged ({error!r}). Run it again.") from error

    def _json(self, name: str) -> Any:
        try:
            return orjson.loads((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{self.folder}: not a complete run of vaa: {name} cannot be read ({error}).") from error

    def _yaml(self, name: str) -> Any:
        try:
            return yaml.safe_load((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise DataError(f"{self.folder}: not a complete run of vaa: {name} cannot be read ({error}).") from error


@dataclass(frozen=True, eq=False)
class LazyMapping(Mapping[str, T]):
    """A mapping whose values are loaded at each access."""

    names: Sequence[str]
    load: Callable[[str], T]

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            raise KeyError(name)
        return self.load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)


def _truth(content: Mapping[str, Any]) -> GroundTruth:
    outlines = _boxes(content.get("outlines", ()))
    return GroundTruth(
        spans=_spans(content),
        label=content["class"],
        boxes=_boxes(content["boxes"]),
        text=content["text"],
        masks=OutlineMasks(outlines) if outlines else None,
    )


def _boxes(rows: Sequence[Sequence[Any]]) -> tuple[Box, ...]:
    return tuple(Box(frame, (a, b, c, d), 1.0, *track) for frame, a, b, c, d, *track in rows)


def _spans(content: Mapping[str, Any]) -> tuple[Span, ...]:
    """Runs of before 2026-11-28 have `spans`, with the last anomalous frame in place of `stop`."""
    if "intervals" in content:
        return tuple(Span(start, stop, label) for start, stop, label in content["intervals"])
    return tuple(Span(start, last + 1, label) for start, last, label in content["spans"])


def _labels(content: Mapping[str, Any]) -> Labels:
    labels = np.zeros(content["frames"], dtype=np.bool_)
    for start, stop in content["anomalous"]:
        labels[start:stop] = True
    return labels


def find_runs(folders: Sequence[str | Path]) -> list[Run]:
    """The runs in these folders: a run's own folder, a multirun's, or one that holds many; in the order of names.

    Raises:
        DataError: a folder holds no run.
    """
    runs = []
    for folder in folders:
        files = sorted(Path(folder).rglob("metrics.json"), key=natural_order)
        if not files:
            raise DataError(f"{folder}: no run of vaa in this folder (no metrics.json).")
        runs += [Run(file.parent) for file in files]
    return runs


def find_run(path: str) -> Run:
    """The only run of a folder.

    Raises:
        DataError: there is none, or there are several.
    """
    runs = find_runs([path])
    if len(runs) > 1:
        raise DataError(f"{path} has {len(runs)} runs; give the folder of one, such as {runs[0].folder}")
    return runs[0]


def short_names(runs: Sequence[Run]) -> list[str]:
    """The runs' folders relative to the one that all share; a single run's is the last part of its path."""
    folders = [str(run.folder.absolute()) for run in runs]
    shared = os.path.commonpath(folders) if len(set(folders)) > 1 else str(runs[0].folder.absolute().parent)
    return [os.path.relpath(folder, shared) for folder in folders]


def unfinished(folders: Sequence[str | Path]) -> list[Path]:
    """The folders of runs that were started and wrote no metrics."""
    started = (file.parents[1] for folder in folders for file in sorted(Path(folder).rglob(".hydra/config.yaml")))
    return [folder for folder in started if not (folder / "metrics.json").is_file()]


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A key that sorts paths by name, and numbers in them by their value."""
    return [_natural(part) for part in path.parts]


def _natural(part: str) -> tuple[int, str]:
    """A key that sorts numbers by their value."""
    return (int(part), "") if part.isdecimal() else (-1, part)
