"""Looking only backwards: what a stage says of a segment is what it says where the video ends with that segment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vaa.errors import VaaError, VideoError
from vaa.models.base import Model
from vaa.stages.base import ModelStage, Stage, Transform
from vaa.stages.corevad import LocalClean, SoftmaxRefine
from vaa.stages.lavad import NearestSummaries
from vaa.stages.probe import ThresholdProbe
from vaa.stages.responses import (
    CaptionSegments,
    ChoiceScores,
    InterpolateScores,
    QuerySegments,
    RateCaptions,
    ResponseScores,
)
from vaa.stages.scores import (
    ExpandToFrames,
    GaussianFilter,
    GaussianKernel,
    Identity,
    RelativeFilter,
    SavitzkyGolay,
    score_track,
)
from vaa.stages.vera import RetrievalRefine, RoundScores
from vaa.stages.window import CentredWindow, ConsecutiveWindow
from vaa.types import Query, Report, ScoreTrack

ALONE = (
    CentredWindow,
    ConsecutiveWindow,
    QuerySegments,
    CaptionSegments,
    RateCaptions,
    ChoiceScores,
    ThresholdProbe,
    ResponseScores,
    Identity,
    RoundScores,
    ExpandToFrames,
)
"""Stages that look at one segment at a time."""
AROUND = (LocalClean, SoftmaxRefine, RetrievalRefine, NearestSummaries, GaussianKernel, GaussianFilter, RelativeFilter,
          SavitzkyGolay)  # fmt: skip
"""Stages that look at a segment's neighbours, and can do without those that come after it."""


@dataclass(frozen=True)
class CausalMethod:
    """Makes a method causal: refinement and smoothing see the segment and those before it, `look_back` in all.

    A score holds from the last frame that its segment looks at, or up to `delay` seconds before that.
    """

    look_back: int
    delay: float

    def __post_init__(self) -> None:
        if self.look_back < 1 or not 0 <= self.delay < math.inf:
            raise VaaError(f"online: look_back={self.look_back} must be at least 1 and delay={self.delay} 0 or more.")

    def __call__(self, stages: Mapping[str, Stage]) -> dict[str, Stage]:
        """The stages, each as it looks backwards, and `arrive` before the scores are spread over the frames.

        Raises:
            VaaError: a stage needs the whole video.
        """
        whole = [name for name, stage in stages.items() if not isinstance(stage, (*ALONE, *AROUND, InterpolateScores))]
        if whole:
            without = " ".join("position=none" if name == "position" else f"stages.{name}=null" for name in whole)
            raise VaaError(
                f"causal=true: {', '.join(whole)} cannot do without the whole video. Take them out: {without}"
            )
        found: dict[str, Stage] = {}
        for name, stage in stages.items():
            if isinstance(stage, ExpandToFrames):
                found["arrive"] = DelayScores(self.delay)
            found[name] = self._looking_back(stage)
        return found

    def _looking_back(self, stage: Stage) -> Stage:
        if isinstance(stage, ALONE):
            return stage
        if isinstance(stage, ModelStage):
            return CausalModelStage(stage, self.look_back, 0)
        return CausalTransform(HoldLastScore() if isinstance(stage, InterpolateScores) else stage, self.look_back, 0)


@dataclass(frozen=True)
class CausalTransform:
    """A stage run once a segment, on what came before it: `look_back` segments in all, itself the last.

    The first `settled` segments are only looked back at; what was said of them stays (a stream's).
    """

    stage: Transform
    look_back: int
    settled: int

    def __call__(self, report: Report) -> Report:
        """The report with what the stage says of each last segment."""
        return _lasts(report, [self.stage(part) for part in _pasts(report, self.look_back, self.settled)])


@dataclass(frozen=True)
class CausalModelStage:
    """The same for a stage that asks: each of its questions is about one segment, so no other is asked."""

    stage: ModelStage
    look_back: int
    settled: int

    @property
    def model(self) -> Model:
        """Who is asked."""
        return self.stage.model

    def queries(self, report: Report) -> tuple[Query, ...]:
        """What the stage asks about all segments that are looked at."""
        return self.stage.queries(_slice(report, max(0, self.settled + 1 - self.look_back), len(report.segments)))

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        """The report with what the stage says of each last segment; one it can say nothing of stays as it was.

        Raises:
            VideoError: it can say nothing of any of them.
        """
        known = {(q.frames, q.text): a for q, a in zip(self.queries(report), answers, strict=True)}
        found: list[Report] = []
        failed: list[VideoError] = []
        for part in _pasts(report, self.look_back, self.settled):
            try:
                found.append(self.stage.absorb(part, [known[q.frames, q.text] for q in self.stage.queries(part)]))
            except VideoError as error:
                failed.append(error)
                found.append(part)
        if failed and len(failed) == len(found):
            raise failed[0]
        return _lasts(report, found)


@dataclass(frozen=True)
class HoldLastScore:
    """The responses' scores as a track; an unread one is the last that was read, 0 before the first."""

    def __call__(self, report: Report) -> Report:
        """The report with its track, one value a segment."""
        values = np.array([response.score for response in report.responses], dtype=np.float64)
        read = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
        starts = np.array([segment.at for segment in report.segments], dtype=np.int64)
        return replace(report, track=ScoreTrack(np.where(read < 0, 0.0, values[read]), starts))


@dataclass(frozen=True)
class DelayScores:
    """Each score holds from when it can be known: the last frame its segment looks at, less `delay` seconds.

    Never before the frame it is for; of several that come at once, at the video's end, the first counts.
    """

    delay: float

    def __call__(self, report: Report) -> Report:
        """The report with its track, later."""
        track, early = score_track(report), round(self.delay * report.video.fps)
        known = [max(segment.at, segment.stop - 1 - early) for segment in report.segments]
        starts, first = np.unique(np.array(known, dtype=np.int64), return_index=True)
        return replace(report, track=ScoreTrack(track.values[first], starts))


def _slice(report: Report, start: int, stop: int) -> Report:
    """The report as if these were all its segments."""
    track = report.track and ScoreTrack(report.track.values[start:stop], report.track.starts[start:stop])
    kept = replace(report, segments=report.segments[start:stop], responses=report.responses[start:stop])
    return replace(kept, track=track)


def _pasts(report: Report, look_back: int, settled: int) -> Iterator[Report]:
    for last in range(settled, len(report.segments)):
        yield _slice(report, max(0, last + 1 - look_back), last + 1)


def _lasts(report: Report, parts: Sequence[Report]) -> Report:
    """The report, its last segments as each of the parts has its own last."""
    if not parts:
        return report
    settled = len(report.segments) - len(parts)
    responses = report.responses[:settled] + tuple(part.responses[-1] for part in parts if part.responses)
    if parts[0].track is None:
        return replace(report, responses=responses)
    old = report.track.values[:settled] if report.track else np.full(settled, math.nan)
    values = np.concatenate([old, [score_track(part).values[-1] for part in parts]])
    starts = np.array([segment.at for segment in report.segments], dtype=np.int64)
    return replace(report, responses=responses, track=ScoreTrack(values, starts))
