"""A finished run, read back from its folder: what compares runs and what draws pages needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import orjson
import yaml

from vaa.errors import VaaError
from vaa.evaluation.detection import Labels
from vaa.types import Floats, file_name


@dataclass(frozen=True)
class Run:
    """A run's folder; every part of it is read when it is first looked at.

    Raises, on reading: VaaError where a file of the run is missing or damaged.
    """

    folder: Path

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """The numbers; None where one is not defined."""
        return dict(self._json("metrics.json"))

    @cached_property
    def notices(self) -> list[str]:
        """What must be known of the numbers."""
        return list(self._json("notices.json"))

    @cached_property
    def failures(self) -> list[dict[str, str]]:
        """Videos that could not be finished: video, stage, reason."""
        return list(self._json("failures.json"))

    @cached_property
    def truth(self) -> dict[str, Any]:
        """How the run was counted (`data`, `protocol`), and `videos`: what is true of each that has labels."""
        return dict(self._json("truth.json"))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed configuration."""
        return dict(self._yaml(".hydra/config.yaml"))

    @cached_property
    def choices(self) -> dict[str, str]:
        """Group -> the name of what was chosen."""
        chosen = self._yaml(".hydra/hydra.yaml")["hydra"]["runtime"]["choices"]
        return {group: str(name) for group, name in chosen.items() if not group.startswith("hydra/")}

    @cached_property
    def cwd(self) -> Path:
        """Where run.py was started: relative paths of the run start there; here, if the run does not say."""
        try:
            return Path(self._yaml(".hydra/hydra.yaml")["hydra"]["runtime"]["cwd"])
        except VaaError:
            return Path()

    @cached_property
    def overrides(self) -> list[str]:
        """What was asked for on the command line."""
        return [str(override) for override in self._yaml(".hydra/overrides.yaml")]

    @cached_property
    def videos(self) -> list[str]:
        """The ids of the videos that have a report, in the order of their files' names."""
        self._check_details()
        return [unquote(file.stem) for file in sorted((self.folder / "reports").glob("*.json"))]

    def report(self, video: str) -> dict[str, Any]:
        """`video`: what it is; `stages`: name -> what the stage changed, in order."""
        if video not in self._latest:
            self._check_details()
            self._latest.clear()
            self._latest[video] = dict(self._json(f"reports/{file_name(video)}"))
        return self._latest[video]

    @cached_property
    def _latest(self) -> dict[str, dict[str, Any]]:
        """The report that was read last: labels, scores and texts of a video are asked for one after another."""
        return {}

    def labels(self, video: str) -> Labels | None:
        """Shape (frames,): which frames are anomalous; None for a video without labels."""
        if video not in self.truth["videos"]:
            return None
        labels = np.zeros(self.report(video)["video"]["n_frames"], dtype=np.bool_)
        for start, stop in self.truth["videos"][video]["anomalous"]:
            labels[start:stop] = True
        return labels

    def scores(self, video: str) -> Floats | None:
        """Shape (frames,): the last stage's scores as they were counted; None for a video without any."""
        report, protocol = self.report(video), self.truth["protocol"]
        tracks = [changed["track"] for changed in report["stages"].values() if changed.get("track")]
        if not tracks:
            return None
        return per_frame(tracks[-1], report["video"]["n_frames"], protocol["pad"], protocol["precision"])

    def _check_details(self) -> None:
        asked = self.folder / ".hydra" / "config.yaml"
        if not (self.folder / "reports").is_dir() and asked.is_file() and self.config.get("details") is False:
            raise VaaError(
                f"{self.folder}: numbers alone (details=false), no scores and reports of its videos. To have them: "
                f"sh {self.folder / 'rerun.sh'} details=true"
            )

    def _json(self, name: str) -> Any:
        try:
            return orjson.loads((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise VaaError(f"{self.folder}: not a whole run of vaa: {name} cannot be read ({error}).") from error

    def _yaml(self, name: str) -> Any:
        try:
            return yaml.safe_load((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise VaaError(f"{self.folder}: not a whole run of vaa: {name} cannot be read ({error}).") from error


def per_frame(track: Mapping[str, Any], n_frames: int, pad: float, precision: str) -> Floats:
    """A track of a report's file as scores of shape (frames,): each value up to the next start, `pad` elsewhere."""
    scores, starts = np.full(n_frames, pad, dtype=precision), track["starts"]
    if starts:
        held = np.diff([*starts, n_frames if track["stop"] is None else min(n_frames, track["stop"])])
        scores[starts[0] : starts[0] + held.sum()] = np.repeat(np.array(track["values"], dtype=precision), held)
    return scores


def find(folders: Sequence[str | Path]) -> list[Run]:
    """The runs in these folders: a run's own folder, a multirun's, or one that holds many; in the order of names.

    Raises:
        VaaError: a folder holds no run.
    """
    found = []
    for folder in folders:
        inside = sorted(Path(folder).rglob("metrics.json"), key=lambda file: [_number(p) for p in file.parts])
        if not inside:
            raise VaaError(f"{folder}: no run of vaa in there (no metrics.json).")
        found += [Run(file.parent) for file in inside]
    return found


def unfinished(folders: Sequence[str | Path]) -> list[Path]:
    """The folders in there of runs that were begun and wrote no numbers."""
    begun = (file.parents[1] for folder in folders for file in sorted(Path(folder).rglob(".hydra/config.yaml")))
    return [folder for folder in begun if not (folder / "metrics.json").is_file()]


def _number(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part)
