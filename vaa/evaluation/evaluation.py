"""What a run found, as its tables and pictures look at it; computed when first asked for, and once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest

import numpy as np

from vaa.evaluation.detection import Labels
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.types import Dataset, Floats


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An outcome beside what is true, counted as the protocol counts; `reader` decodes the frames that are shown."""

    result: RunResult
    dataset: Dataset
    protocol: Protocol
    decoder: str

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Video -> scores of shape (frames,), of the videos that have any."""
        reports = self.result.reports.items()
        return {video: self.protocol.frame_scores(report) for video, report in reports if report.track is not None}

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """Video -> which frames are anomalous, shape (frames,), of the videos that have scores and labels."""
        spans, reports = self.protocol.spans(self.dataset), self.result.reports
        known = (video for video in self.scores if video in spans)
        return {video: self.protocol.frame_labels(reports[video].video, spans[video]) for video in known}

    def label(self, video: str) -> str | None:
        """The class a data set gives a video."""
        truth = self.dataset.truths.get(video)
        return truth.label if truth else None

    def error(self, video: str) -> float:
        """The mean distance of a video's scores from its labels, NaN without any."""
        if video not in self.labels:
            return math.nan
        return float(np.abs(self.scores[video] - self.labels[video]).mean())

    @cached_property
    def ranking(self) -> list[str]:
        """The videos, most worth a look first: the highest-scoring and the worst errors in turn; then the unscored."""
        highest = sorted(self.scores, key=lambda video: -float(self.scores[video].max(initial=0)))
        worst = sorted(self.labels, key=lambda video: -self.error(video))
        turns = chain.from_iterable(zip_longest(highest, worst))
        return list(dict.fromkeys(video for video in (*turns, *self.result.reports) if video is not None))
