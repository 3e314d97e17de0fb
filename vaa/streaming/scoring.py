"""One connection, scored as its frames come: the stages of a causal run, a few segments at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vaa.engines.base import Engine
from vaa.errors import VideoError
from vaa.pipeline import RunResult, advance
from vaa.stages.base import Stage
from vaa.stages.causal import CausalModelStage, CausalTransform
from vaa.streaming.recent import RecentAnswers
from vaa.types import Report, ScoreTrack, Segment, Video

MOST = 64  # segments at a time, so that scores come while a file is caught up with


@dataclass
class StreamScorer:
    """What has been said of a connection, as far as later segments hang on it: the last segments before each stage.

    `stages` are those of a causal run, the window first, without what spreads scores over frames.
    """

    window: Stage
    stages: Mapping[str, Stage]
    engine: Engine
    since: int = 0
    _done: int = -1
    _before: dict[str, Report] = field(default_factory=dict)
    _recent: RecentAnswers = field(default_factory=RecentAnswers)

    def ready(self, video: Video, whole: bool) -> tuple[Segment, ...]:
        """Segments that nobody has scored and that what comes cannot change; all that are left where it is `whole`."""
        result = RunResult({video.id: Report(video, since=self.since)})
        advance(result, "window", self.window, self.engine, self._recent)
        if result.failures:
            raise VideoError(result.failures[0].reason)
        segments = result.reports[video.id].segments
        new = (s for s in segments if s.at > self._done and (whole or s.stop < video.n_frames))
        return tuple(new)[:MOST]

    def score(self, video: Video, segments: tuple[Segment, ...]) -> Report:
        """These segments with their responses and scores; they are looked back at from now on.

        Raises:
            VideoError: a stage could not be done; the segments have no score and are passed over.
        """
        self._done = self.since = segments[-1].at
        now, seen = Report(video, segments), {}
        for name, stage in self.stages.items():
            before = self._before.get(name, Report(video))
            if isinstance(stage, CausalTransform | CausalModelStage):
                whole = _joined(before, now)
                stage, seen[name] = replace(stage, settled=len(before.segments)), _last(whole, stage.look_back - 1)
                now = _last(self._advance(name, stage, whole), len(segments))
            else:
                now = self._advance(name, stage, now)
        self._before |= seen
        self._recent.turn()
        return now

    def _advance(self, name: str, stage: Stage, report: Report) -> Report:
        result = RunResult({report.video.id: report})
        advance(result, name, stage, self.engine, self._recent)
        if result.failures:
            raise VideoError(result.failures[0].reason)
        return result.reports[report.video.id]


def _joined(before: Report, now: Report) -> Report:
    """The segments of both, in order."""
    track = now.track
    if before.track and track:
        values = np.concatenate([before.track.values, track.values])
        track = ScoreTrack(values, np.concatenate([before.track.starts, track.starts]))
    return replace(
        now, segments=before.segments + now.segments, responses=before.responses + now.responses, track=track
    )


def _last(report: Report, count: int) -> Report:
    first = max(0, len(report.segments) - count)
    track = report.track and ScoreTrack(report.track.values[first:], report.track.starts[first:])
    return replace(report, segments=report.segments[first:], responses=report.responses[first:], track=track)
