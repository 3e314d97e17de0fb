"""Watch a stream: a line a score as it comes, and the same in `scores.jsonl`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from vaa import process
from vaa.engines.base import Engine
from vaa.errors import VaaError, VideoError
from vaa.stages.base import Stage
from vaa.stages.causal import DelayScores
from vaa.stages.scores import score_track
from vaa.stages.window import CentredWindow, ConsecutiveWindow
from vaa.streaming.connection import Connection
from vaa.streaming.intake import StreamReader
from vaa.streaming.scoring import StreamScorer
from vaa.streaming.stream import Stream
from vaa.types import Report, Segment, Video

log = logging.getLogger("vaa")
_BAR, _TEXT = 20, 80  # signs


@dataclass
class StreamStats:
    """What a stream came to: segments scored and passed over, connections, frames lost, and the delays in seconds."""

    segments: int = 0
    failed: int = 0
    connections: int = 0
    lost: int = 0
    _delays: list[float] = field(default_factory=list)

    def late(self, delay: float) -> None:
        """A score came so long after its last frame; of many the last thousand are kept."""
        self._delays = [*self._delays[-999:], delay]
        self.segments += 1

    def said(self) -> str:
        """In one line."""
        found = sorted(self._delays) or [0.0]
        return (
            f"{self.segments} segments scored, {self.failed} not, {self.connections} connections, "
            f"{self.lost} frames lost; of the last {len(self._delays)} a score came "
            f"{found[len(found) // 2]:.2f} s after its last frame "
            f"(median), {found[-1]:.2f} s at the most"
        )


def watch(stream: Stream, stages: Mapping[str, Stage], engine: Engine, folder: Path, threshold: float) -> StreamStats:
    """Score what comes until the source ends for good or Control-C is pressed; what is printed is on disk too.

    Raises:
        VaaError: the stages are none of a causal run, or the source failed.
    """
    (_, window), *rest = stages.items()
    names = [name for name, _ in rest]
    arrive = next((k for k, (_, stage) in enumerate(rest) if isinstance(stage, DelayScores)), None)
    if not isinstance(window, CentredWindow | ConsecutiveWindow) or arrive is None:
        raise VaaError(f"data=stream needs a method that begins with a window, and causal=true; this has {names}.")
    watched = StreamStats()
    with (folder / "scores.jsonl").open("a", encoding="utf-8") as file, StreamReader(stream) as intake:
        log.info("Watching %s; Control-C ends it. Scores: %s", stream.name, file.name)
        try:
            with _quietly():
                for connection in intake:
                    watched.connections += 1
                    look = StreamScorer(window, dict(rest[:arrive]), engine)
                    _follow(connection, look, watched, ScoreWriter(file, stream, threshold))
        except KeyboardInterrupt:  # the way a stream ends
            pass
        finally:
            watched.lost = intake.lost
            log.info("%s", watched.said())
    return watched


@contextmanager
def _quietly() -> Iterator[None]:
    """What models log of every few questions would bury the scores; warnings are shown."""

    def kept(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    log.addFilter(kept)
    try:
        yield
    finally:
        log.removeFilter(kept)


@dataclass(frozen=True)
class ScoreWriter:
    """Where scores are written."""

    file: TextIO
    stream: Stream
    threshold: float

    def write(self, connection: int, segment: Segment, report: Report, k: int, fps: float, delay: float) -> None:
        """One score, on the screen and in the file."""
        score, frame = float(score_track(report).values[k]), segment.stop - 1
        text = " ".join((report.responses[k].description or report.responses[k].text).split())[:_TEXT]
        now, bar = datetime.now(UTC), "#" * round(_BAR * min(1.0, max(0.0, score)))
        mark = "!" if score >= self.threshold else " "
        sys.stdout.write(f"{now:%H:%M:%S}  {frame / fps:9.1f} s  {score:.3f} {mark} {bar:{_BAR}}  {text}\n")
        sys.stdout.flush()
        entry = {
            "time": now.isoformat(timespec="milliseconds"),
            "connection": connection,
            "frames": [segment.start, segment.stop],
            "seconds": round(frame / fps, 3),
            "score": score,
            "delay": round(delay, 3),
            "text": text,
        }
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()


def _follow(connection: Connection, look: StreamScorer, watched: StreamStats, paper: ScoreWriter) -> None:
    """Score one connection to its end, or to where it is cut because the model is too late."""
    while not process.interrupt_requested() and not connection.cut:
        n, ended = connection.wait()
        video = Video(f"{paper.stream.name}#{watched.connections}", connection.folder, n, connection.fps, "live")
        ready = look.ready(video, ended) if n else ()
        connection.need = ready[0].stop if ready else n
        if not ready and ended:
            return
        if not ready:
            continue
        try:
            report = look.score(video, ready)
        except VideoError as error:
            watched.failed += len(ready)
            log.error("%d segments from frame %d have no score: %s", len(ready), ready[0].start, error)
            continue
        for k, segment in enumerate(ready):
            delay = connection.delay(segment.stop - 1)
            watched.late(delay)
            paper.write(watched.connections, segment, report, k, connection.fps, delay)
        connection.forget(ready[-1].start)
