"""The nouns of the house: what is known of a video, and what is asked of a model.

Frame numbers are 0-based everywhere. Intervals written (start, stop) exclude `stop`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Pixels = NDArray[np.uint8]
XYXY = tuple[float, float, float, float]
Answer = str | Floats
"""What a model gives back: text, or numbers (an embedding, the probabilities of some choices)."""


SourceKind = Literal["file", "images", "live"]
"""Where frames come from: a video file, a folder of images, the stored frames of a stream (vaa/video/sources.py)."""


def file_name(video: str) -> str:
    """A video's id as the name of one JSON file: separators of folders are escaped, everything usual is kept."""
    return _UNUSUAL.sub(lambda found: _escaped(found[0]), video) + ".json"


_UNUSUAL = re.compile(r"[^A-Za-z0-9_.~ #=&+,;@!$()\[\]{}'^-]")


def _escaped(sign: str) -> str:
    return sign if ord(sign) > 127 and sign.isprintable() else quote(sign, safe="", errors="replace")


@dataclass(frozen=True, slots=True)
class Video:
    """A video and what its data set states about it; `path`, of the kind `source`, need not exist."""

    id: str
    path: Path
    n_frames: int
    fps: float
    source: SourceKind = "file"


@dataclass(frozen=True, slots=True)
class Segment:
    """The frames [start, stop) of a video, those of them a model is shown, and the frame its score is `at`."""

    start: int
    stop: int
    frames: tuple[int, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateQuery:
    """A query answered by text.

    Attributes:
        purpose: What the answer is for (the prompt's name); it does not change the answer.
        video: The video that `frames` are of.
        at: The frame that a score read from the answer belongs to; it does not change the answer.
        frames: Frame numbers to show; empty for text-only queries.
        text: The user message; `<image>` marks the place of each frame.
        system: The system message, "" for none.
        max_new_tokens: Most tokens to generate; 0 for the server's own limit.
        stop_pattern: Regular expression; the answer is complete at the end of its first match. "" for none.
    """

    purpose: str
    video: Video
    at: int
    frames: tuple[int, ...]
    text: str
    system: str = ""
    max_new_tokens: int
    stop_pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseQuery:
    """A query answered by the probability of each of `choices`, shape (choices,), summing to 1.

    The other fields are those of GenerateQuery.
    """

    purpose: str
    video: Video
    at: int
    frames: tuple[int, ...]
    text: str
    system: str = ""
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedQuery:
    """A query answered by a vector of shape (d,): the mean over `frames`, or the embedding of `text`; not both."""

    video: Video
    at: int
    frames: tuple[int, ...] = ()
    text: str = ""


ChatQuery = GenerateQuery | ChooseQuery
Query = GenerateQuery | ChooseQuery | EmbedQuery


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """In the place of an answer: why there is none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said, and what was read in it: a score in [0, 1], NaN if none could be read, and a description."""

    text: str
    score: float
    description: str


@dataclass(frozen=True, eq=False)
class ScoreTrack:
    """Scores in time: `values[i]` holds from frame `starts[i]` to the next start. Both of shape (n,)."""

    values: NDArray[np.float64]
    starts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values.shape != self.starts.shape or self.values.ndim != 1:
            raise ValueError(f"{self.values.shape} values for {self.starts.shape} starts")

    def per_frame(self, n_frames: int) -> ScoreTrack:
        """Each value repeated up to the next one's start, the last as often as the one before it, cut to the video."""
        if not len(self.starts):
            return self
        first, held = int(self.starts[0]), self.starts[1:] - self.starts[:-1]
        most = max(0, n_frames - first)
        if len(held) and (held == 1).all():
            return ScoreTrack(self.values[:most], self.starts[:most])
        values = np.repeat(self.values, np.append(held, held[-1]) if len(held) else n_frames)[:most]
        return ScoreTrack(values, np.arange(first, first + len(values), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle (x1, y1, x2, y2) in the frame's pixels, with a confidence in [0, 1]."""

    frame: int
    xyxy: XYXY
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """An anomalous interval as annotated; whether `end` belongs to it is for the protocol to say."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class GroundTruth:
    """What a data set knows of a video: anomalous spans, its class, boxes on some frames, a reference description."""

    spans: tuple[Span, ...]
    label: str
    boxes: tuple[Box, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class SuspiciousWindow:
    """Where the scores of a video are highest and lowest on average, and how far apart they lie (URF, IntraTR).

    Windows are (start, stop) in frames; the high group holds the scores nearer the highest window's mean.
    """

    highest: tuple[int, int]
    highest_mean: float
    lowest: tuple[int, int]
    lowest_mean: float
    std: float
    high_mean: float
    low_mean: float


@dataclass(frozen=True)
class Judgement:
    """What a judge makes of a video's summary beside the reference: marks in [0, 1], NaN where none could be read."""

    reasonability: float
    detail: float
    consistency: float


@dataclass(frozen=True, eq=False)
class Report:
    """All that is known of one video so far; the only thing that flows through the stages.

    `tags` names the suspicious behaviour, with commas; `gated`: do the first scores leave doubt (None: nobody looked);
    `looked` are the frames that boxes were asked on; `drawn` is a copy of the video with boxes in it. `truth` is for
    stages that say which frames are to be scored, and for oracles that say so; no method reads labels from it.
    Of `answers` that should have said a score, `unread` did not. Segments before frame `since`, one of the window's own
    places, are of no interest any more (a stream's).
    """

    video: Video
    segments: tuple[Segment, ...] = ()
    responses: tuple[Response, ...] = ()
    track: ScoreTrack | None = None
    suspicion: SuspiciousWindow | None = None
    tags: str = ""
    gated: bool | None = None
    boxes: tuple[Box, ...] = ()
    looked: tuple[int, ...] = ()
    drawn: Video | None = None
    summary: str = ""
    judgement: Judgement | None = None
    truth: GroundTruth | None = None
    answers: int = 0
    unparsed: int = 0
    since: int = 0


@dataclass(frozen=True)
class Failure:
    """A video that could not be finished, the stage that gave up on it and why."""

    video: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """A data set's videos in order, the truth of those that have one, and those that cannot be used."""

    name: str
    videos: tuple[Video, ...]
    truths: Mapping[str, GroundTruth]
    failures: Sequence[Failure]
