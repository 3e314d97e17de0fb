"""An experiment: one composed run, instantiated from conf/run/*.yaml, and what it does."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from vaa import process
from vaa.cache import AnswerCache
from vaa.data.base import ChecksFiles, DatasetLoader, HasExpectedVideos
from vaa.doctor import diagnosis
from vaa.engines.base import Engine
from vaa.errors import ConfigError, DataError, require_at_least, require_share
from vaa.evaluation.evaluation import Evaluation, evaluate
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.run_metrics import check_complete, run_metrics
from vaa.pipeline import RunResult, analyse, combine_definitions
from vaa.prompts.definitions import Definitions
from vaa.report import console, files, plots
from vaa.report.alerts import AlertRule, by_video
from vaa.report.page.build import Page
from vaa.report.run_folder import output_errors
from vaa.report.runs import Run
from vaa.stages.base import Stage, check_models
from vaa.stages.causal import CausalMethod
from vaa.stages.definitions import check_definitions
from vaa.streaming.stream import Stream
from vaa.streaming.watch import watch
from vaa.tracking.run import TrackedRun, Tracking
from vaa.types import Dataset, DecoderName, Definition, GroundTruth, Video
from vaa.video.sources import close_decoders

log = logging.getLogger("vaa")


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """How a job was started: the folder of its results, its overrides, and its columns for Weights & Biases.

    `group`, `name` and `number` are those of a job of a multirun, None for a single run.
    """

    folder: Path
    overrides: Sequence[str]
    columns: Mapping[str, Any]
    group: str | None = None
    name: str | None = None
    number: int | None = None


@dataclass
class JobHistory:
    """What jobs of a multirun in one process share: a job reuses the leading stages that equal the previous job's."""

    previous: RunResult | None = None


@cache
def job_history() -> JobHistory:
    """The history of the jobs of this process."""
    return JobHistory()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A method over a data set: analyse, write, evaluate, report, track.

    `definitions`: what to look for, empty for what the prompts ask; `limit`: only the first `limit` videos; `cache`:
    path of the cache file, None for memory only; `max_unparsed` and `max_failed`: tolerated shares of answers and
    videos; `details`: write scores and reports of every video.

    Raises:
        ConfigError: the fields contradict each other, or a stage needs another kind of model.
    """

    stages: Mapping[str, Stage | None]
    data: DatasetLoader
    engine: Engine
    protocol: Protocol
    causal: bool
    online: CausalMethod
    definitions: Definitions
    limit: int | None
    cache: str | None
    decoder: DecoderName
    max_unparsed: float
    max_failed: float
    details: bool
    plots: bool
    page: Page | None
    alerts: AlertRule | None
    meteor_jar: bool
    wandb: Tracking

    def __post_init__(self) -> None:
        require_at_least(1, limit=self.limit)
        require_share(max_unparsed=self.max_unparsed, max_failed=self.max_failed)
        if self.page and not self.details:
            raise ConfigError("details=false leaves out scores/ and reports/, which the page needs: add page=null.")
        _ = self.method  # checks the stages

    @property
    def method(self) -> dict[str, Stage]:
        """The stages that are not null, in order; in their causal form where `causal` is set."""
        return _method(self.stages, self.online if self.causal else None, self.definitions.all)

    def check(self, folder: Path) -> None:
        """Log whether it can run on this machine and about how long it takes; remove its folder, which stays empty.

        Raises:
            ConfigError: it does not fit this machine.
        """
        try:
            diagnosis.check(self.method, self._videos, self.definitions.all, self._missing_files)
        finally:
            files.remove_unused(folder)

    def _missing_files(self, videos: bool) -> tuple[str, ...]:
        """A message for each missing file of labels and of the data set; with `videos` also about its video files."""
        data = self.data.missing_files(videos=videos) if isinstance(self.data, ChecksFiles) else ()
        return (*self.protocol.missing_files(), *data)

    def _videos(self) -> tuple[Sequence[Video], Mapping[str, GroundTruth]]:
        if isinstance(self.data, HasExpectedVideos):
            return self.data.expected_videos()[: self.limit], {}
        dataset = self.data.load()
        return dataset.videos[: self.limit], dataset.truths

    def run(self, context: JobContext, history: JobHistory) -> dict[str, Any]:
        """Run it and return the content of `metrics.json`.

        Raises:
            VaaError: the run ended early, or more videos failed or answers were unparsed than is tolerated.
        """
        if missing := self.protocol.missing_files():
            raise ConfigError("\n".join(missing))
        dataset = self.data.load()
        if not dataset.videos and not dataset.failures:
            raise DataError(f"data={dataset.name}: no video. Check the fields of data (--cfg job shows them).")
        console.check_tiny_models(self.method.values(), dataset.name, context.overrides)
        with output_errors(context.folder):
            files.write_reproduction(context.folder, context.overrides)
        tracking = dataclasses.replace(
            self.wandb, group=self.wandb.group or context.group, name=self.wandb.name or context.name
        )
        try:
            with tracking.run(context.columns, context.folder, context.number) as tracked:
                metrics = self._run(dataset, context.folder, history, tracked)
                reports = history.previous.reports.values() if history.previous else ()
                first = next((report.first_unparsed for report in reports if report.first_unparsed), "")
                check_complete(
                    metrics, max_unparsed=self.max_unparsed, max_failed=self.max_failed, first_unparsed=first
                )
        finally:
            close_decoders()
        return metrics

    def _run(self, dataset: Dataset, folder: Path, history: JobHistory, tracked: TrackedRun) -> dict[str, Any]:
        method, videos = self.method, dataset.videos[: self.limit]
        warnings = console.notices(method.values(), dataset.name)
        warnings += self.alerts.notices(videos) if self.alerts else []
        cache, definitions = AnswerCache(self.cache), self.definitions.all
        result = analyse(videos, dataset.truths, method, self.engine, cache, history.previous, definitions)
        history.previous = result
        result = combine_definitions(result, definitions)
        for failure in dataset.failures:
            result.fail(failure.video, failure.stage, failure.reason)
        with output_errors(folder):
            files.write_results(folder, result, warnings, self.details)
            files.write_performance(folder, result)
            evaluation = evaluate(result=result, dataset=dataset, protocol=self.protocol)
            if self.details:
                files.write_truth(folder, evaluation)
        alerts = self.alerts.find_all(evaluation) if self.alerts else []
        metrics = run_metrics(
            evaluation,
            meteor_jar=self.meteor_jar,
            left_out=dataset.left_out,
            alerts=by_video(alerts) if self.alerts else None,
        )
        with output_errors(folder):
            # Written after the files that it is computed from: a folder with metrics.json is complete.
            files.write_metrics(folder, self.protocol.name, metrics)
        with process.forked(partial(_draw, folder, evaluation, warnings)) if self.plots else nullcontext():
            with output_errors(folder):
                if self.alerts:
                    self.alerts.write(folder, alerts)
                    by_id = {video: report.video for video, report in result.reports.items()}
                    self.alerts.write(folder, self.alerts.write_media(folder, alerts, by_id, self.decoder))
                if self.page:
                    self.page.write(Run(folder), evaluation)
            console.log_summary(metrics, folder, warnings, self.alerts, alerts)
            tracked.log(
                metrics=metrics, notices=warnings, evaluation=evaluation, videos=dataset.videos, decoder=self.decoder
            )
        return metrics


@dataclass(frozen=True, kw_only=True)
class StreamExperiment:
    """A method over a live source: scores are printed and written as they come, nothing is evaluated.

    Raises:
        ConfigError: a stage needs the whole video or another kind of model.
    """

    stages: Mapping[str, Stage | None]
    data: Stream
    engine: Engine
    causal: bool
    online: CausalMethod
    definitions: Definitions
    alerts: AlertRule

    def __post_init__(self) -> None:
        if not self.causal:
            raise ConfigError("causal=false: a live source has no later frames; data=stream needs causal=true.")
        _ = self.method  # checks the stages

    @property
    def method(self) -> dict[str, Stage]:
        """The stages that are not null, in order and in their causal form."""
        return _method(self.stages, self.online, self.definitions.all)

    def check(self, folder: Path) -> None:
        """Log whether it can run on this machine; remove its folder, which stays empty.

        Raises:
            ConfigError: it does not fit this machine.
        """
        try:
            diagnosis.check(self.method, None)
        finally:
            files.remove_unused(folder)

    def run(self, context: JobContext, history: JobHistory) -> dict[str, Any]:
        """Score the source until it ends or Control-C is pressed; there are no metrics.

        Raises:
            VaaError: the method is not causal, or the source failed.
        """
        log.info("data=stream implies causal=true (scores depend on earlier frames only) and position=none.")
        console.check_tiny_models(self.method.values(), self.data.name, context.overrides)
        for notice in console.notices(self.method.values(), self.data.name):
            log.warning("%s", notice)
        with output_errors(context.folder):
            watch(self.data, self.method, self.engine, context.folder, self.alerts.hysteresis, self.definitions.all)
        return {}


def _method(
    stages: Mapping[str, Stage | None], causal: CausalMethod | None, definitions: Sequence[Definition]
) -> dict[str, Stage]:
    method = {name: stage for name, stage in stages.items() if stage is not None}
    check_models(method)
    check_definitions(method, definitions)
    return causal(method) if causal else method


def _draw(folder: Path, evaluation: Evaluation, notices: Sequence[str]) -> None:
    with output_errors(folder):
        plots.write_overview(folder / "overview.png", evaluation, notices)
