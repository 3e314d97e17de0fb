"""LAVAD (Zanella et al., CVPR 2024): captions of single frames, cleaned, summed up, rated, refined by the summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaa.errors import VaaError
from vaa.models.base import LLM, Encoder
from vaa.prompts.template import Prompt
from vaa.stages import embeddings
from vaa.stages.base import Transform
from vaa.stages.scores import score_track
from vaa.types import EmbedQuery, Floats, GenerateQuery, Report, Response, ScoreTrack, Segment

_ROWS = 1024  # frames compared with all captions at once


@dataclass(frozen=True)
class SingleFrames:
    """Single frames as segments: every `stride`-th of the video."""

    stride: int

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise VaaError(f"stages.look.stride={self.stride}: must be at least 1.")

    def __call__(self, report: Report) -> Report:
        """The report with a segment a frame."""
        frames = range(0, report.video.n_frames, self.stride)
        return replace(report, segments=tuple(Segment(k, k + 1, (k,), k) for k in frames))


@dataclass(frozen=True)
class CleanCaptions:
    """Give each frame the caption, of all those of its video, that fits it best; the first wins ties."""

    model: Encoder

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The frames, then the captions, each once."""
        video = report.video
        seen = (EmbedQuery(video=video, at=segment.at, frames=segment.frames) for segment in report.segments)
        return (*seen, *(EmbedQuery(video=video, at=0, text=caption) for caption in _captions(report)))

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with the captions exchanged among its frames; a block of rows at a time, as videos are long."""
        stacked, n = np.asarray(answers, dtype=np.float64), len(report.segments)
        vision, text = stacked[:n], stacked[n:]
        blocks = [np.argmax(vision[first : first + _ROWS] @ text.T, axis=1) for first in range(0, n, _ROWS)]
        said = list(_captions(report).values())
        return replace(report, responses=tuple(said[k] for k in np.concatenate(blocks)))


@dataclass(frozen=True)
class GatherCaptions:
    """Windows over captioned frames: each has the captions of the frames it shows as its description, one a line.

    A frame without a caption has that of the captioned frame next to it in time, the earlier of two.
    """

    window: Transform

    def __call__(self, report: Report) -> Report:
        """The report with windows for segments and their captions for responses."""
        captioned = np.array([segment.at for segment in report.segments])
        windows = self.window(report).segments
        responses = []
        for window in windows:
            places = _nearest(captioned, np.array(window.frames))
            said = "\n".join(report.responses[k].description for k in places)
            responses.append(Response(said, math.nan, said))
        return replace(report, segments=windows, responses=tuple(responses))


@dataclass(frozen=True)
class SummariseCaptions:
    """Have an LLM sum up every window's captions; `empty` stands for an answer that says nothing."""

    model: LLM
    prompt: Prompt
    empty: str

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One a window, without frames."""
        return tuple(
            self.prompt.query(report.video, replace(segment, frames=()), captions=response.description)
            for segment, response in zip(report.segments, report.responses, strict=True)
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the summaries in place of the captions."""
        read = [self.prompt.read(answer) for answer in answers]
        return replace(report, responses=tuple(replace(r, description=r.description or self.empty) for r in read))


@dataclass(frozen=True)
class NearestSummaries:
    """Average the scores of the `nearest` descriptions of the video, weighted by the softmax of their similarity.

    Similarity is the cosine between the mean of a segment's shown frames and a description, over `temperature`; a
    segment's own description is one of them if it is near enough. Of equally near ones the first count.
    """

    model: Encoder
    nearest: int
    temperature: float

    def __post_init__(self) -> None:
        if self.nearest < 1 or not self.temperature > 0:
            raise VaaError(f"refinement: nearest={self.nearest}, temperature={self.temperature}: must be above 0.")

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The frames that are shown, each once, then the descriptions."""
        return embeddings.shown(report) + embeddings.texts(report, embeddings.descriptions(report))

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its track refined."""
        track, n = score_track(report), len(report.segments)
        vision = embeddings.of_shown(report, answers[:-n])
        text = embeddings.unit(np.asarray(answers[-n:], dtype=np.float64))
        values = embeddings.weighted(vision @ text.T, track.values, self.nearest, self.temperature)
        return replace(report, track=ScoreTrack(values, track.starts))


def _captions(report: Report) -> dict[str, Response]:
    """The different captions in order of time, each with the first response that says it."""
    found: dict[str, Response] = {}
    for response in report.responses:
        found.setdefault(response.description, response)
    return found


def _nearest(places: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of rising places the index of the nearest to each that is wanted, the earlier of two."""
    after = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(places[after] - wanted < wanted - places[before], after, before)
