"""Watch a stream: print each score as it is computed, and append it to `scores.jsonl`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from vaa import process
from vaa.engines.base import Engine
from vaa.errors import ConfigError, VideoError
from vaa.evaluation.alert_intervals import Hysteresis
from vaa.stages.base import Stage
from vaa.stages.causal import DelayScores
from vaa.stages.scores import score_track
from vaa.stages.window import CentredFrames, CentredWindow, ConsecutiveWindow, TimedWindow
from vaa.streaming.reader import Connection, StreamReader
from vaa.streaming.scoring import StreamScorer
from vaa.streaming.stream import Stream
from vaa.types import Definition, Report, Segment, Video

log = logging.getLogger("vaa")
_BAR_WIDTH, _TEXT_WIDTH = 20, 80  # characters


@dataclass
class StreamStats:
    """Counts of a stream: segments with a score and without, connections, lost frames; the last delays, in seconds."""

    segments: int = 0
    failed: int = 0
    connections: int = 0
    lost_frames: int = 0
    _delays: list[float] = field(default_factory=list)

    def add_score(self, delay: float) -> None:
        """Count a segment whose score came `delay` seconds after its last frame; the last 1,000 delays are stored."""
        self._delays = [*self._delays[-999:], delay]
        self.segments += 1

    def summary(self) -> str:
        """The counts and delays in one line."""
        delays = sorted(self._delays) or [0.0]
        return (
            f"{self.segments} segments scored, {self.failed} failed, {self.connections} connections, "
            f"{self.lost_frames} frames lost; seconds from a segment's last frame to its score (last "
            f"{len(self._delays)}): median {delays[len(delays) // 2]:.2f}, maximum {delays[-1]:.2f}"
        )


def watch(
    stream: Stream,
    stages: Mapping[str, Stage],
    engine: Engine,
    folder: Path,
    hysteresis: Hysteresis,
    definitions: Sequence[Definition] = (),
) -> StreamStats:
    """Score a stream until it ends for good or Control-C is pressed. Scores during an alert are marked.

    Raises:
        ConfigError: the stages are not those of a causal method.
        DataError: the stream failed.
    """
    (_, window), *later = stages.items()
    end = next((k for k, (_, stage) in enumerate(later) if isinstance(stage, DelayScores)), None)
    if not isinstance(window, CentredFrames | CentredWindow | ConsecutiveWindow | TimedWindow) or end is None:
        raise ConfigError(f"data=stream needs a method with a window and causal=true; this one has {list(stages)}.")
    stats = StreamStats()
    with (folder / "scores.jsonl").open("a", encoding="utf-8") as file, StreamReader(stream) as reader:
        log.info("Watching %s; press Control-C to stop. Scores: %s", stream.name, file.name)
        try:
            with _hide_info_logs():
                for connection in reader:
                    stats.connections += 1
                    writer = ScoreWriter(file=file, hysteresis=hysteresis)
                    scorer = StreamScorer(
                        window=window, stages=dict(later[:end]), engine=engine, definitions=definitions
                    )
                    _score_connection(connection, f"{stream.name}#{stats.connections}", scorer, stats, writer)
        except KeyboardInterrupt:  # the usual end of a stream
            pass
        finally:
            stats.lost_frames = reader.lost_frames
            log.info("%s", stats.summary())
    return stats


@contextmanager
def _hide_info_logs() -> Iterator[None]:
    """Models log every few queries, between the scores; only warnings are shown."""

    def is_warning(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    log.addFilter(is_warning)
    try:
        yield
    finally:
        log.removeFilter(is_warning)


@dataclass(kw_only=True)
class ScoreWriter:
    """Prints the scores of one connection and appends them to an open file; those during an alert are marked."""

    file: TextIO
    hysteresis: Hysteresis
    _alert: bool = field(default=False, init=False)

    def write(self, connection: int, segment: Segment, report: Report, k: int, delay: float) -> None:
        """The score and the text of the k-th segment of a report."""
        score, seconds = float(score_track(report).values[k]), report.video.seconds(segment.stop - 1)
        text = " ".join((report.responses[k].description or report.responses[k].text).split())[:_TEXT_WIDTH]
        now, bar = datetime.now(UTC), "#" * round(_BAR_WIDTH * min(1.0, max(0.0, score)))
        self._alert = self.hysteresis.active(score, self._alert)
        mark = "!" if self._alert else " "
        sys.stdout.write(f"{now:%H:%M:%S}  {seconds:9.1f} s  {score:.3f} {mark} {bar:{_BAR_WIDTH}}  {text}\n")
        sys.stdout.flush()
        entry = {
            "time": now.isoformat(timespec="milliseconds"),
            "connection": connection,
            "frames": [segment.start, segment.stop],
            "seconds": round(seconds, 3),
            "score": score,
            "alert": self._alert,
            "delay": round(delay, 3),
            "text": text,
        }
        if report.definition_tracks:
            entry["definitions"] = {each.name: float(each.track.values[k]) for each in report.definition_tracks}
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()


def _score_connection(
    connection: Connection, name: str, scorer: StreamScorer, stats: StreamStats, writer: ScoreWriter
) -> None:
    """Score one connection until it ends, or is dropped because the model is too slow."""
    while not process.interrupt_requested() and not connection.dropped:
        n_frames, ended = connection.wait()
        video = Video(name, connection.folder, n_frames, connection.fps, "live", connection.times(n_frames))
        segments = scorer.next_segments(video, ended) if n_frames else ()
        connection.backlog_start = segments[0].stop if segments else n_frames
        if not segments and ended:
            return
        if not segments:
            continue
        try:
            report = scorer.score(video, segments)
        except VideoError as error:
            stats.failed += len(segments)
            log.error("%d segments from frame %d have no score: %s", len(segments), segments[0].start, error)
            continue
        for k, segment in enumerate(segments):
            delay = connection.age(segment.stop - 1)
            stats.add_score(delay)
            writer.write(stats.connections, segment, report, k, delay)
        connection.discard(segments[-1].start)
