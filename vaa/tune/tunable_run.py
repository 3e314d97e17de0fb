"""A finished run whose recorded scores can be post-processed with other settings of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaa.compare.measures import Measure, RunScores, measure
from vaa.errors import ConfigError, DataError
from vaa.evaluation.bootstrap import Numbers
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.roc import Labels
from vaa.report.runs import Run
from vaa.stages.base import Transform
from vaa.tune.settings import Setting, build_stages
from vaa.types import Floats, Report


@dataclass(frozen=True, eq=False)
class TunableRun:
    """The labels of a run's videos, and their reports after the first stages, which all settings have in common.

    `stages` are each setting's remaining ones.
    """

    run: Run
    labels: Mapping[str, Labels]
    reports: Mapping[str, Report]
    stages: Mapping[Setting, Sequence[Transform]]
    protocol: Protocol

    @property
    def data(self) -> str:
        """The name of the data set."""
        return self.run.evaluation.data

    @property
    def videos(self) -> list[str]:
        """The videos with labels."""
        return list(self.labels)

    def scores(self, setting: Setting, video: str) -> Floats:
        """The scores under a setting by the run's protocol, shape (frames,)."""
        report = self.reports[video]
        for stage in self.stages[setting]:
            report = stage(report)
        return self.protocol.frame_scores(report)

    def measure(
        self, settings: Mapping[str, Setting], weights: Numbers, names: Sequence[str], every: int = 1
    ) -> dict[str, Measure]:
        """Metrics of these videos, each under its own setting, on one in `every` frames.

        `weights`, shape (times, videos), are the number of times that each resample contains each video.
        """
        scores = {video: self.scores(setting, video)[::every] for video, setting in settings.items()}
        labels = {video: self.labels[video][::every] for video in settings}
        return measure(RunScores(self.run, labels, scores), list(settings), weights, names)


def load_run(run: Run, settings: Sequence[Setting]) -> TunableRun:
    """Read the run's scores and apply the stages that are the same under all settings.

    Raises:
        ConfigError: the run needs a model, or a setting does not fit it.
        DataError: no video of the run has labels.
    """
    labels = run.evaluation.labels
    if not labels:
        raise DataError(f"{run.folder}: no video has labels, so no setting can be chosen.")
    try:
        stages = {setting: build_stages(run.config, setting, run.cwd) for setting in settings}
    except ConfigError as error:
        raise ConfigError(f"{run.folder}: {error}") from error
    first = stages[settings[0]]
    shared = 0
    for name in first:
        if len({repr(each.get(name)) for each in stages.values()}) > 1:
            break
        shared += 1
    reports = {}
    for video in labels:
        report = Report(run.evaluation.reports[video].video)
        for stage in list(first.values())[:shared]:
            report = stage(report)
        reports[video] = report
    remaining = {setting: tuple(each.values())[shared:] for setting, each in stages.items()}
    return TunableRun(run, labels, reports, remaining, run.evaluation.protocol)
