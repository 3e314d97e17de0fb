"""Causal runs: the result for a segment is the one that the video would give if it ended with that segment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from vaa.errors import ConfigError, VideoError
from vaa.models.base import Model
from vaa.stages.base import (
    PER_FRAME,
    SEGMENT,
    WHOLE_VIDEO,
    HasCausalForm,
    ModelStage,
    Neighbours,
    Scope,
    Stage,
    Transform,
)
from vaa.stages.scores import score_track
from vaa.types import Query, Report, ScoreTrack, Video


@dataclass(frozen=True, kw_only=True)
class CausalMethod:
    """Makes a method causal, by the scope that each of its stages declares.

    A stage that reads neighbours gets the segment and those before it, `look_back` in all. A score takes effect at the
    last frame of its segment, or up to `delay` seconds before it.
    """

    look_back: int
    delay: float

    def __post_init__(self) -> None:
        if self.look_back < 1 or not 0 <= self.delay < math.inf:
            raise ConfigError(
                f"online: look_back={self.look_back} must be at least 1 and delay={self.delay} 0 or more."
            )

    def __call__(self, stages: Mapping[str, Stage]) -> dict[str, Stage]:
        """The stages in their causal form, with a stage `delay` before the scores are repeated for every frame.

        Raises:
            ConfigError: a stage needs the whole video.
        """
        replaced = {
            name: stage.causal() if isinstance(stage, HasCausalForm) else stage for name, stage in stages.items()
        }
        whole = [name for name, stage in replaced.items() if stage.scope is WHOLE_VIDEO]
        if whole:
            remedy = " ".join("position=none" if name == "position" else f"stages.{name}=null" for name in whole)
            raise ConfigError(f"causal=true: {', '.join(whole)} need the whole video. Leave them out: {remedy}")
        causal: dict[str, Stage] = {}
        for name, stage in replaced.items():
            if stage.scope is PER_FRAME:
                causal["delay"] = DelayScores(delay=self.delay)
            causal[name] = self._causal_form(stage)
        return causal

    def _causal_form(self, stage: Stage) -> Stage:
        if not isinstance(stage.scope, Neighbours):
            return stage
        if isinstance(stage, ModelStage):
            return CausalModelStage(stage=stage, look_back=self.look_back, n_done=0)
        return CausalTransform(stage=stage, look_back=self.look_back, n_done=0)


@dataclass(frozen=True, kw_only=True)
class CausalTransform:
    """Runs a stage once per segment, on that segment and those before it, `look_back` segments in all.

    The first `n_done` segments keep their results and only serve as earlier segments (of a stream).
    """

    stage: Transform
    look_back: int
    n_done: int

    @property
    def scope(self) -> Scope:
        """That of the stage."""
        return self.stage.scope

    def __call__(self, report: Report) -> Report:
        """The report with the stage's result for the last segment of each part."""
        return _merge_last(report, [self.stage(part) for part in _parts(report, self.look_back, self.n_done)])


@dataclass(frozen=True, kw_only=True)
class CausalModelStage:
    """Like CausalTransform, for a stage with a model; each query is about one segment, so the queries stay."""

    stage: ModelStage
    look_back: int
    n_done: int

    @property
    def scope(self) -> Scope:
        """That of the stage."""
        return self.stage.scope

    @property
    def model(self) -> Model:
        """The stage's model."""
        return self.stage.model

    def queries(self, report: Report) -> tuple[Query, ...]:
        """The stage's queries about all segments that a part contains."""
        return self.stage.queries(_slice(report, max(0, self.n_done + 1 - self.look_back), len(report.segments)))

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        """The report with the stage's result for the last segment of each part, unchanged where the stage fails.

        Raises:
            VideoError: the stage fails for every part.
        """
        known = {(q.frames, q.text): answer for q, answer in zip(self.queries(report), answers, strict=True)}
        results: list[Report] = []
        errors: list[VideoError] = []
        for part in _parts(report, self.look_back, self.n_done):
            try:
                results.append(self.stage.absorb(part, [known[q.frames, q.text] for q in self.stage.queries(part)]))
            except VideoError as error:
                errors.append(error)
                results.append(part)
        if errors and len(errors) == len(results):
            raise errors[0]
        return _merge_last(report, results)


@dataclass(frozen=True, kw_only=True)
class DelayScores:
    """Each score takes effect when it can be known: at the last frame of its segment, less `delay` seconds.

    Never before the frame that it is for. Where several take effect at once, at the video's end, the first is used.
    """

    scope: ClassVar[Scope] = SEGMENT

    delay: float

    def __call__(self, report: Report) -> Report:
        """The report with its track shifted in time."""
        track = score_track(report)
        known = [max(segment.at, self._earliest(segment.stop - 1, report.video)) for segment in report.segments]
        starts, first = np.unique(np.array(known, dtype=np.int64), return_index=True)
        return replace(report, track=ScoreTrack(track.values[first], starts))

    def _earliest(self, frame: int, video: Video) -> int:
        """The frame that is shown `delay` seconds before this one."""
        if video.times is None:
            return frame - round(self.delay * video.fps)
        return video.times.frame_at(video.times.seconds(frame) - self.delay)


def _slice(report: Report, start: int, stop: int) -> Report:
    """The report with only these of its segments."""
    track = report.track and ScoreTrack(report.track.values[start:stop], report.track.starts[start:stop])
    segments, responses = report.segments[start:stop], report.responses[start:stop]
    return replace(report, segments=segments, responses=responses, track=track)


def _parts(report: Report, look_back: int, n_done: int) -> Iterator[Report]:
    """For every segment that is not done, the report up to it."""
    for last in range(n_done, len(report.segments)):
        yield _slice(report, max(0, last + 1 - look_back), last + 1)


def _merge_last(report: Report, parts: Sequence[Report]) -> Report:
    """The report whose last segments have the results that each of the parts has for its own last segment."""
    if not parts:
        return report
    n_done = len(report.segments) - len(parts)
    responses = report.responses[:n_done] + tuple(part.responses[-1] for part in parts if part.responses)
    if parts[0].track is None:
        return replace(report, responses=responses)
    old = report.track.values[:n_done] if report.track else np.full(n_done, math.nan)
    values = np.concatenate([old, [score_track(part).values[-1] for part in parts]])
    starts = np.array([segment.at for segment in report.segments], dtype=np.int64)
    return replace(report, responses=responses, track=ScoreTrack(values, starts))
