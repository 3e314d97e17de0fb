"""Value types: videos, queries, answers, scores, ground truth, reports.

Frame numbers are 0-based everywhere. Intervals (start, stop) exclude `stop`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError
from vaa.frame_times import FrameTimes
from vaa.generation import GenerationConfig

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Pixels = NDArray[np.uint8]
XYXY = tuple[float, float, float, float]
Answer = str | Floats
"""The answer to a query: text, the probabilities of choices, or an embedding."""

SourceKind = Literal["file", "images", "images_with_gaps", "live"]
"""Where frames come from: a video file, a folder of images, one whose numbers may have gaps, the stored frames of a
stream (vaa/video/sources.py)."""

DecoderName = Literal["decord", "pyav"]
"""The decoders of video files (vaa/video/decoders.py)."""


def local_path(text: str) -> Path:
    """A path from a setting, with ~ expanded.

    Raises:
        ConfigError: it is empty, which would be the working directory.
    """
    if not text.strip():
        raise ConfigError("An empty path. Is a variable not set?")
    return Path(os.path.expanduser(text))  # noqa: PTH111 Path.expanduser raises for an unknown user


def file_name(video: str) -> str:
    """The name of the JSON file for a video's id; folder separators and unusual characters are percent-encoded."""
    return _UNUSUAL.sub(lambda match: _encoded(match[0]), video) + ".json"


_UNUSUAL = re.compile(r"[^A-Za-z0-9_.~ #=&+,;@!$()\[\]{}'^-]")


def _encoded(char: str) -> str:
    return char if ord(char) > 127 and char.isprintable() else quote(char, safe="", errors="replace")


@dataclass(frozen=True, slots=True)
class Video:
    """A video and what its data set states about it; `path`, of the kind `source`, need not exist.

    `times` is None where the rate is constant. It follows from the content of the file, so it is not compared.
    """

    id: str
    path: Path
    n_frames: int
    fps: float
    source: SourceKind = "file"
    times: FrameTimes | None = field(default=None, compare=False, repr=False)

    def seconds(self, frame: int) -> float:
        """When a frame is shown, in seconds from the first one; where there is no frame rate, at 25 per second."""
        return frame / (self.fps or 25.0) if self.times is None else self.times.seconds(frame)

    def end(self, stop: int) -> float:
        """When the frames before `stop` end, in seconds."""
        return self.seconds(stop) if self.times is None else self.times.end(stop)

    def frame_at(self, seconds: float) -> int:
        """The first frame that is shown at this time or later, to a millisecond; it may be past the last one."""
        if self.times is not None:
            return self.times.frame_at(seconds)
        return max(0, math.ceil((seconds - 0.001) * (self.fps or 25.0)))


@dataclass(frozen=True, slots=True)
class Segment:
    """The frames [start, stop) of a video; the model is shown `frames`, and the score belongs to the frame `at`.

    `times` are the seconds that a prompt has for the frames, empty where these are their own.
    """

    start: int
    stop: int
    frames: tuple[int, ...]
    at: int
    times: tuple[float, ...] = ()


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
        stop_pattern: Regular expression; the answer is complete at its first match after thoughts. "" for none.
        generation: How tokens are chosen; None for the model's own setting.
        times: The seconds that a prompt has for the frames, if any; empty for their own.
    """

    purpose: str
    video: Video
    at: int
    frames: tuple[int, ...]
    text: str
    system: str = ""
    max_new_tokens: int
    stop_pattern: str = ""
    generation: GenerationConfig | None = None
    times: tuple[float, ...] = ()


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
    times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedQuery:
    """A query answered by a vector of shape (d,): the mean over `frames`, or the embedding of `text`; not both."""

    video: Video
    at: int
    frames: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesQuery:
    """A query answered by the vector of each frame, (frames, d); the pipeline makes it from EmbedQueries."""

    text: ClassVar[str] = ""
    video: Video
    at: int
    frames: tuple[int, ...]


ChatQuery = GenerateQuery | ChooseQuery
Query = ChatQuery | EmbedQuery | FramesQuery


def frame_seconds(query: ChatQuery) -> tuple[float, ...]:
    """When the frames of a query are shown, as a prompt has it, in seconds."""
    return query.times or tuple(query.video.seconds(frame) for frame in query.frames)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """In place of an answer: the reason why there is none."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a user looks for: a name for tables, the wording that prompts contain, and what does not count."""

    name: str
    wording: str
    exceptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A parsed answer: its text, a score in [0, 1] or NaN, a description, and the thoughts before the text.

    `definition` is the name of the definition that the score is for, "" without definitions.
    """

    text: str
    score: float
    description: str
    thoughts: str = ""
    definition: str = ""

    @property
    def description_or_text(self) -> str:
        """The description, or the whole answer if none could be parsed."""
        return self.description or self.text


@dataclass(frozen=True, eq=False)
class ScoreTrack:
    """Scores over time: `values[i]` applies from frame `starts[i]` to the next start; both of shape (n,)."""

    values: NDArray[np.float64]
    starts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values.shape != self.starts.shape or self.values.ndim != 1:
            raise ValueError(f"{self.values.shape} values for {self.starts.shape} starts")

    def per_frame(self, n_frames: int) -> ScoreTrack:
        """Each value repeated up to the next start, the last as often as the one before it; cut to `n_frames`."""
        if not len(self.starts):
            return self
        first, counts = int(self.starts[0]), self.starts[1:] - self.starts[:-1]
        length = max(0, n_frames - first)
        if len(counts) and (counts == 1).all():
            return ScoreTrack(self.values[:length], self.starts[:length])
        values = np.repeat(self.values, np.append(counts, counts[-1]) if len(counts) else n_frames)[:length]
        return ScoreTrack(values, np.arange(first, first + len(values), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class DefinitionTrack:
    """The scores of one definition, by its name."""

    name: str
    track: ScoreTrack


@dataclass(frozen=True, slots=True)
class Box:
    """A box (x1, y1, x2, y2) in pixels of the frame, with a confidence in [0, 1].

    `track`: the number of the annotated track that it belongs to, None without tracks.
    """

    frame: int
    xyxy: XYXY
    score: float
    track: int | None = None


@runtime_checkable
class PixelMasks(Protocol):
    """Which pixels of a video are annotated as anomalous, read when they are needed."""

    def frame(self, number: int) -> NDArray[np.bool_]:
        """Shape (height, width) of the frame.

        Raises:
            DataError: the file is missing, damaged or of another shape.
        """


@dataclass(frozen=True, slots=True)
class Span:
    """The annotated anomalous frames [start, stop); each reader converts what its layout means by an end."""

    start: int
    stop: int
    label: str


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of a video: anomalous intervals, class, boxes on some frames, a reference description.

    `masks`: of each frame's pixels, None where the data set has none. `annotators`: the intervals by each of several
    annotators, by name; `spans` is what the data set's reader makes of them.
    """

    spans: tuple[Span, ...]
    label: str
    boxes: tuple[Box, ...] = ()
    text: str = ""
    masks: PixelMasks | None = field(default=None, compare=False, repr=False)
    annotators: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SuspiciousWindow:
    """The windows (start, stop) with the highest and the lowest mean score of a video (URF, Intra-Task Reasoning).

    `high_mean` is the mean of the scores nearer to the highest window's mean, `low_mean` of the others.
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
    """A judge's marks in [0, 1] for a video's summary, compared with the reference; NaN where unparsed."""

    reasonability: float
    detail: float
    consistency: float


@dataclass(frozen=True, eq=False)
class Report:
    """All that is known of one video so far; the only value that moves between stages.

    Attributes:
        tags: Names of the suspicious behaviour, separated by commas.
        all_tags: The same where a stage has dropped unusable `tags`.
        gated: Whether the first scores are uncertain; None where no stage has checked it.
        located_frames: The frames that the model was queried about for boxes.
        drawn_video: A copy of the video with the boxes drawn into it.
        truth: For stages that evaluate given frames, and for oracles; no method reads labels from it.
        n_answers: Answers that should have a score, of which `n_unparsed` could not be parsed.
        first_unparsed: A message about the first of these.
        first_frame: Segments before this frame are left out (of a stream).
        definition: What the model is asked about; None for what the method's own prompts ask.
        definition_tracks: The scores of each definition of `watch_for`; `track` has the highest of them.
    """

    video: Video
    segments: tuple[Segment, ...] = ()
    responses: tuple[Response, ...] = ()
    track: ScoreTrack | None = None
    suspicious_window: SuspiciousWindow | None = None
    tags: str = ""
    all_tags: str = ""
    gated: bool | None = None
    boxes: tuple[Box, ...] = ()
    located_frames: tuple[int, ...] = ()
    drawn_video: Video | None = None
    summary: str = ""
    judgement: Judgement | None = None
    truth: GroundTruth | None = None
    n_answers: int = 0
    n_unparsed: int = 0
    first_unparsed: str = ""
    first_frame: int = 0
    definition: Definition | None = None
    definition_tracks: tuple[DefinitionTrack, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A video that failed, the stage and the reason."""

    video: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """The videos of a data set in order, their ground truth by id, and the videos that cannot be used.

    `left_out` counts what lies beside them and was not taken as a video.
    """

    name: str
    videos: tuple[Video, ...]
    truths: Mapping[str, GroundTruth]
    failures: Sequence[Failure]
    left_out: int = 0
