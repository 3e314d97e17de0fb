"""A finished run as material: the scores it read, its labels, and what another setting would make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.compare.measures import Measure, RunScores, measure
from vaa.errors import VaaError
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.detection import Labels
from vaa.evaluation.protocol import Protocol
from vaa.report.runs import Run
from vaa.stages.base import Transform
from vaa.tune import chain
from vaa.tune.grid import Setting
from vaa.types import Floats, Report, Video


@dataclass(frozen=True, eq=False)
class TuningSource:
    """`reports` have been through the stages that all settings share; `left` are each setting's others."""

    run: Run
    labels: Mapping[str, Labels]
    reports: Mapping[str, Report]
    left: Mapping[Setting, Sequence[Transform]]
    protocol: Protocol

    @property
    def name(self) -> str:
        """The data set."""
        return str(self.run.truth["data"])

    @property
    def videos(self) -> list[str]:
        """Those with labels."""
        return list(self.labels)

    def scores(self, setting: Setting, video: str) -> Floats:
        """Shape (frames,): as the run's protocol would count them."""
        report = self.reports[video]
        for stage in self.left[setting]:
            report = stage(report)
        return self.protocol.frame_scores(report)

    def measured(
        self, chosen: Mapping[str, Setting], weights: Numbers, names: Sequence[str], every: int = 1
    ) -> dict[str, Measure]:
        """The metrics with each video under its own setting, and with the videos taken as often as `weights` says.

        `weights` has shape (times, videos); only one in `every` frames is counted.
        """
        scores = {video: self.scores(setting, video)[::every] for video, setting in chosen.items()}
        labels = {video: self.labels[video][::every] for video in chosen}
        return measure(RunScores(self.run, labels, scores), list(chosen), weights, names)


def source(run: Run, settings: Sequence[Setting]) -> TuningSource:
    """Read the run's scores anew and take them as far as all settings agree.

    Raises:
        VaaError: the run has no labels, asks a model, or a setting does not fit it.
    """
    labels = {video: known for video in run.truth["videos"] if (known := run.labels(video)) is not None}
    if not labels:
        raise VaaError(f"{run.folder}: its videos have no labels; there is nothing to choose by.")
    chains = {setting: _stages(run, setting) for setting in settings}
    names, *_ = (list(each) for each in chains.values())
    shared = 0
    for name in names:
        if len({repr(each.get(name)) for each in chains.values()}) > 1:
            break
        shared += 1
    reports = {}
    for video in labels:
        about = run.report(video)["video"]
        report = Report(Video(about["id"], Path(about["path"]), about["n_frames"], about["fps"]))
        for stage in list(chains[settings[0]].values())[:shared]:
            report = stage(report)
        reports[video] = report
    left = {setting: tuple(each.values())[shared:] for setting, each in chains.items()}
    return TuningSource(run, labels, reports, left, _protocol(run))


def _stages(run: Run, setting: Setting) -> dict[str, Transform]:
    try:
        return chain.stages(chain.changed(run.config, setting), run.cwd)
    except VaaError as error:
        raise VaaError(f"{run.folder}: {error}") from error


def _protocol(run: Run) -> Protocol:
    """As the run was counted; its labels are already in its folder."""
    told = run.truth["protocol"]
    return Protocol(told["name"], None, told["end_inclusive"], told["ap"], told["precision"], told["pad"])
