"""LAVAD (Zanella et al., CVPR 2024): frames captioned, captions cleaned, summarised and rated, scores refined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError, require_at_least
from vaa.models.base import LLM, Encoder
from vaa.prompts.template import Prompt
from vaa.stages import embeddings
from vaa.stages.base import SEGMENT, WHOLE_VIDEO, Neighbours, Scope, Transform
from vaa.stages.scores import score_track
from vaa.types import EmbedQuery, Floats, GenerateQuery, Report, Response, ScoreTrack, Segment

_BLOCK = 1024  # frames compared with all captions at a time


@dataclass(frozen=True, kw_only=True)
class SingleFrames:
    """Single frames as segments: every `stride`-th of the video."""

    scope: ClassVar[Scope] = SEGMENT

    stride: int

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ConfigError(f"SingleFrames: stride={self.stride} must be at least 1.")

    def __call__(self, report: Report) -> Report:
        """The report with one segment per frame."""
        frames = range(0, report.video.n_frames, self.stride)
        return replace(report, segments=tuple(Segment(k, k + 1, (k,), k) for k in frames))


@dataclass(frozen=True, kw_only=True)
class CleanCaptions:
    """Give each frame the caption, of a pool of captions of the video, that fits it best; the first wins ties.

    The pool is the captions of every `pool_stride`-th frame of the video, of those that have one.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: Encoder
    pool_stride: int

    def __post_init__(self) -> None:
        require_at_least(1, pool_stride=self.pool_stride)

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The frames, then the captions of the pool, each once."""
        video = report.video
        frames = (EmbedQuery(video=video, at=segment.at, frames=segment.frames) for segment in report.segments)
        return (*frames, *(EmbedQuery(video=video, at=0, text=caption) for caption in self._pool(report)))

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with the captions exchanged among its frames; in blocks of rows, to limit the memory."""
        stacked, n = np.asarray(answers, dtype=np.float64), len(report.segments)
        vision, text = stacked[:n], stacked[n:]
        blocks = [np.argmax(vision[first : first + _BLOCK] @ text.T, axis=1) for first in range(0, n, _BLOCK)]
        responses = list(self._pool(report).values())
        return replace(report, responses=tuple(responses[k] for k in np.concatenate(blocks)))

    def _pool(self, report: Report) -> dict[str, Response]:
        """The distinct captions of the pool in order of time, each with the first response that has it."""
        captions: dict[str, Response] = {}
        for segment, response in zip(report.segments, report.responses, strict=True):
            if segment.at % self.pool_stride == 0:
                captions.setdefault(response.description, response)
        return captions


@dataclass(frozen=True, kw_only=True)
class GatherCaptions:
    """Windows over captioned frames: a window's description is the captions of its `frames`, joined by `separator`.

    A frame without a caption gets that of the nearest captioned frame, the earlier of two.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    window: Transform
    separator: str

    def __call__(self, report: Report) -> Report:
        """The report with the windows as segments and their captions as responses."""
        captioned = np.array([segment.at for segment in report.segments])
        windows = self.window(report).segments
        responses = []
        for window in windows:
            indices = _nearest(captioned, np.array(window.frames))
            text = self.separator.join(report.responses[k].description for k in indices)
            responses.append(Response(text, math.nan, text))
        return replace(report, segments=windows, responses=tuple(responses))


@dataclass(frozen=True, kw_only=True)
class SummariseCaptions:
    """Have an LLM summarise every window's captions; `empty` replaces an empty summary."""

    scope: ClassVar[Scope] = SEGMENT

    model: LLM
    prompt: Prompt
    empty: str

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per window, without frames."""
        return tuple(
            self.prompt.query(report.video, replace(segment, frames=()), captions=response.description)
            for segment, response in zip(report.segments, report.responses, strict=True)
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the summaries in place of the captions."""
        parsed = [self.prompt.parse(answer) for answer in answers]
        return replace(report, responses=tuple(replace(r, description=r.description or self.empty) for r in parsed))


@dataclass(frozen=True, kw_only=True)
class NearestSummaries:
    """Average the scores of the `nearest` most similar descriptions, weighted by the softmax of the similarity.

    Similarity is the cosine between the mean embedding of a segment's `frames` and a description, over `temperature`.
    The segment's own description is not treated differently; one that several segments have counts once, with the score
    of the first of them. The first wins ties.
    """

    scope: ClassVar[Scope] = Neighbours(None)

    model: Encoder
    nearest: int
    temperature: float

    def __post_init__(self) -> None:
        if self.nearest < 1 or not self.temperature > 0:
            raise ConfigError(f"refinement: nearest={self.nearest} and temperature={self.temperature} must be above 0.")

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The segments' `frames`, each once, then the descriptions."""
        return embeddings.frame_queries(report) + embeddings.text_queries(report, embeddings.descriptions(report))

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its track refined."""
        track, n = score_track(report), len(report.segments)
        vision = embeddings.segment_vectors(report, answers[:-n])
        first: dict[str, int] = {}
        for k, description in enumerate(embeddings.descriptions(report)):
            first.setdefault(description, k)
        distinct = list(first.values())
        text = embeddings.normalise(np.asarray(answers[-n:], dtype=np.float64)[distinct])
        values = embeddings.nearest_average(vision @ text.T, track.values[distinct], self.nearest, self.temperature)
        return replace(report, track=ScoreTrack(values, track.starts))


def _nearest(places: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each wanted place the index of the nearest of the increasing `places`, the earlier of two."""
    after = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(places[after] - wanted < wanted - places[before], after, before)
