"""Evaluation: the reports of a run beside the ground truth. Page, W&B, plots, alerts and metrics read it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest

import numpy as np

from vaa.evaluation.detection import ClassResult, class_results, detection
from vaa.evaluation.metric_set import EvaluatedVideo, compute_once
from vaa.evaluation.protocol import Protocol
from vaa.evaluation.roc import Curves, Labels, curves, roc_auc
from vaa.pipeline import RunResult, StageStats
from vaa.types import Dataset, Failure, Floats, GroundTruth, Report


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Scores, labels, curves, classes and errors of a run, each computed once, when it is first needed.

    `evaluate` makes it for a run in this process, `Run.evaluation` for a finished one, whose reports it reads from disk
    as they are needed. `reports`: video -> its last report. `history`: video -> stage -> the report after it. `truths`
    and `labels` (by the protocol, shape (frames,)): of the videos that have some. `stats`: what the stages cost; empty
    for a finished run. `tracks`: the last reports with their tracks only, if they are read faster than whole reports.
    """

    data: str
    protocol: Protocol
    reports: Mapping[str, Report]
    history: Mapping[str, Mapping[str, Report]]
    truths: Mapping[str, GroundTruth]
    labels: Mapping[str, Labels]
    failures: Sequence[Failure]
    stats: Sequence[StageStats] = ()
    tracks: Mapping[str, Report] | None = None

    def video_scores(self, video: str) -> Floats | None:
        """The scores of a video by the protocol, shape (frames,); None without any.

        Raises:
            ConfigError: a score is NaN or infinite.
        """
        if video not in self._scores:
            report = (self.tracks or self.reports)[video]
            self._scores[video] = None if report.track is None else self.protocol.frame_scores(report)
        return self._scores[video]

    @cached_property
    def _scores(self) -> dict[str, Floats | None]:
        return {}

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Video -> scores of shape (frames,), of the videos that have some."""
        return {video: scores for video in self.reports if (scores := self.video_scores(video)) is not None}

    @cached_property
    def labelled(self) -> list[str]:
        """The videos that have scores and labels: those that are evaluated."""
        return [video for video in self.scores if video in self.labels]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The detection metrics; empty where no video has scores and labels."""
        if not self.labelled:
            return {}
        labels, scores = self._evaluated
        metrics = detection(labels, scores) | {"videos": len(labels), "frames": sum(map(len, labels))}
        for metric_set in self.protocol.metrics.values():
            metrics |= compute_once(metric_set, self.counted)
        return metrics

    @cached_property
    def counted(self) -> list[EvaluatedVideo]:
        """The videos that are evaluated, with their scores as the metrics count them."""
        return [self.counted_video(video) for video in self.labelled]

    def counted_video(self, video: str) -> EvaluatedVideo:
        """A video that has scores and labels; the scores are those that the metrics count."""
        return EvaluatedVideo(
            report=self.reports[video],
            truth=self.truths[video],
            labels=self.labels[video],
            scores=self._counted_scores[video],
        )

    @cached_property
    def _counted_scores(self) -> dict[str, Floats]:
        return {video: self.protocol.counted_scores(self.scores[video]) for video in self.labelled}

    @cached_property
    def curves(self) -> Curves | None:
        """ROC and precision-recall over all frames; None where they are of one class only."""
        return curves(*self._evaluated)

    @cached_property
    def classes(self) -> tuple[ClassResult, ...]:
        """How well each class of anomaly is detected, by name."""
        return class_results(*self._evaluated, [self.label(video) or "" for video in self.labelled])

    @property
    def _evaluated(self) -> tuple[list[Labels], list[Floats]]:
        return [self.labels[video] for video in self.labelled], [self._counted_scores[video] for video in self.labelled]

    def label(self, video: str) -> str | None:
        """The class of a video in its data set; None without ground truth."""
        truth = self.truths.get(video)
        return truth.label if truth else None

    def error(self, video: str) -> float:
        """How wrong the scores of a video are, in [0, 1] for scores in [0, 1]; NaN without scores or labels.

        1 - the AUC within the video; for a normal video its highest score, for one that is anomalous throughout 1 - its
        highest score. Like the metrics, it does not depend on how scores are scaled within a video, and a short anomaly
        that is missed is a large error, where a mean distance to the labels would be small.
        """
        scores, labels = self.video_scores(video), self.labels.get(video)
        if scores is None or labels is None or not len(scores):
            return math.nan
        if labels.any() and not labels.all():
            return 1 - roc_auc(labels, scores)
        highest = float(scores.max())
        return 1 - highest if labels.any() else highest

    @cached_property
    def ranked(self) -> list[str]:
        """The videos by interest: the highest-scoring and those with the largest error in turn; unscored ones last."""
        highest = sorted(self.scores, key=lambda video: -float(self.scores[video].max(initial=0)))
        worst = sorted(self.labelled, key=lambda video: -self.error(video))
        turns = chain.from_iterable(zip_longest(highest, worst))
        return list(dict.fromkeys(video for video in (*turns, *self.reports) if video is not None))


def evaluate(*, result: RunResult, dataset: Dataset, protocol: Protocol) -> Evaluation:
    """The evaluation of a run in this process.

    Raises:
        DataError: the protocol's label file lacks videos or cannot be read.
    """
    spans, reports = protocol.spans(dataset), result.reports
    return Evaluation(
        data=dataset.name,
        protocol=protocol,
        reports=reports,
        history=result.history,
        truths=dataset.truths,
        labels={
            video: protocol.frame_labels(report.video, spans[video])
            for video, report in reports.items()
            if video in spans
        },
        failures=result.failures,
        stats=result.stats,
    )


def peak_frame(scores: Floats) -> int:
    """The frame in the middle of the first stretch where scores, shape (frames,), are highest."""
    top = np.flatnonzero(scores == scores.max())
    ends = np.flatnonzero(np.diff(top) > 1)
    last = int(ends[0]) if len(ends) else len(top) - 1
    return int(top[last // 2])


def segment_at(report: Report, frame: int) -> int | None:
    """The index of the segment whose score applies at a frame: the last one that is `at` this frame or before."""
    if not report.segments:
        return None
    return max(0, int(np.searchsorted([segment.at for segment in report.segments], frame, side="right")) - 1)


def text_at(report: Report, frame: int) -> str | None:
    """The text of the segment whose score applies at a frame: its description, or the whole answer."""
    k = segment_at(report, frame)
    if k is None or k >= len(report.responses):
        return None
    return report.responses[k].description_or_text or None
