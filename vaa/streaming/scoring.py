"""Scores one connection as its frames arrive: the stages of a causal method, on a few segments at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vaa.cache import RecentAnswers
from vaa.engines.base import Engine
from vaa.errors import VideoError
from vaa.pipeline import RunResult, definition_keys, run_stage
from vaa.stages.base import Stage
from vaa.stages.causal import CausalModelStage, CausalTransform
from vaa.stages.definitions import combine
from vaa.types import Definition, Report, ScoreTrack, Segment, Video

_BATCH = 64  # segments at a time, so that scores appear before all frames of a file are scored


@dataclass(kw_only=True)
class StreamScorer:
    """Scores new segments, and stores the last `look_back` ones as they were before each stage, for later ones.

    `stages` are those of a causal method after the `window`, without those that expand scores to frames. With
    `definitions` each of them is scored, and the reports are combined.
    """

    window: Stage
    stages: Mapping[str, Stage]
    engine: Engine
    definitions: Sequence[Definition] = ()
    _last_scored: int = -1
    _earlier: dict[tuple[str, str], Report] = field(default_factory=dict)
    _recent: RecentAnswers = field(default_factory=RecentAnswers)

    def next_segments(self, video: Video, ended: bool) -> tuple[Segment, ...]:
        """Segments without a score that later frames cannot change; all that are left where the video has `ended`.

        Raises:
            VideoError: the window cannot be applied.
        """
        start = Report(video, first_frame=max(0, self._last_scored))
        report = self._run("window", self.window, {video.id: start})[video.id]
        complete = (
            segment
            for segment in report.segments
            if segment.at > self._last_scored and (ended or segment.stop < video.n_frames)
        )
        return tuple(complete)[:_BATCH]

    def score(self, video: Video, segments: tuple[Segment, ...]) -> Report:
        """These segments with their responses and scores.

        Raises:
            VideoError: a stage failed; the segments get no score.
        """
        self._last_scored = segments[-1].at
        keys = definition_keys(video.id, self.definitions)
        reports = {key: Report(video, segments, definition=definition) for key, definition in keys.items()}
        earlier: dict[tuple[str, str], Report] = {}
        for name, stage in self.stages.items():
            if isinstance(stage, CausalTransform | CausalModelStage):
                before = {key: self._earlier.get((name, key), Report(video)) for key in keys}
                both = {key: _concatenate(before[key], reports[key]) for key in keys}
                n_done = len(next(iter(before.values())).segments)
                earlier |= {(name, key): _last(both[key], stage.look_back - 1) for key in keys}
                done = self._run(name, replace(stage, n_done=n_done), both)
                reports = {key: _last(done[key], len(segments)) for key in keys}
            else:
                reports = self._run(name, stage, reports)
        self._earlier |= earlier
        self._recent.end_round()
        return combine(list(reports.values())) if self.definitions else reports[video.id]

    def _run(self, name: str, stage: Stage, reports: Mapping[str, Report]) -> dict[str, Report]:
        result = RunResult(dict(reports))
        run_stage(result, name, stage, self.engine, self._recent)
        if result.failures:
            raise VideoError(result.failures[0].reason)
        return result.reports


def _concatenate(first: Report, second: Report) -> Report:
    """The second report with the segments, responses and scores of both."""
    track = second.track
    if first.track and track:
        values = np.concatenate([first.track.values, track.values])
        track = ScoreTrack(values, np.concatenate([first.track.starts, track.starts]))
    return replace(
        second,
        segments=first.segments + second.segments,
        responses=first.responses + second.responses,
        track=track,
    )


def _last(report: Report, count: int) -> Report:
    first = max(0, len(report.segments) - count)
    track = report.track and ScoreTrack(report.track.values[first:], report.track.starts[first:])
    return replace(report, segments=report.segments[first:], responses=report.responses[first:], track=track)
