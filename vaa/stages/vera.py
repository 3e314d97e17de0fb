"""VERA (Ye et al., CVPR 2025): scores refined by those of similar segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from vaa.errors import ConfigError, require_at_least
from vaa.models.base import Encoder
from vaa.stages import embeddings
from vaa.stages.base import SEGMENT, Neighbours, Scope
from vaa.stages.scores import score_track
from vaa.types import EmbedQuery, Floats, Report, ScoreTrack


@dataclass(frozen=True, kw_only=True)
class RetrievalRefine:
    """Average the scores of the most similar segments, weighted by softmax(similarity / temperature).

    `fraction` of the video's segments is used; all of them where this gives none and in videos of at most `all_up_to`
    segments, as in the authors' programs. The segment itself is always the most similar. Similarity is the cosine
    between the mean embeddings of the segments' `frames`.
    """

    scope: ClassVar[Scope] = Neighbours(None)

    model: Encoder
    fraction: float
    all_up_to: int
    temperature: float

    def __post_init__(self) -> None:
        require_at_least(0, all_up_to=self.all_up_to)
        if not (0 < self.fraction <= 1 and self.temperature > 0):
            raise ConfigError(
                f"refinement: fraction={self.fraction} must be in (0, 1] and temperature={self.temperature} above 0."
            )

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The segments' `frames`, each once."""
        return embeddings.frame_queries(report)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its track refined."""
        track, vision = score_track(report), embeddings.segment_vectors(report, answers)
        n = len(vision)
        count = n if n <= self.all_up_to else int(self.fraction * n) or n
        values = embeddings.nearest_average(vision @ vision.T, track.values, count, self.temperature)
        return replace(report, track=ScoreTrack(values, track.starts))


@dataclass(frozen=True, kw_only=True)
class RoundScores:
    """Round the scores to `digits` digits; with `sigmoid` round 1 / (1 + exp(-score)) (VERA's AP on XD-Violence)."""

    scope: ClassVar[Scope] = SEGMENT

    digits: int
    sigmoid: bool

    def __post_init__(self) -> None:
        require_at_least(0, digits=self.digits)

    def __call__(self, report: Report) -> Report:
        """The report with its track rounded."""
        track = score_track(report)
        values = 1 / (1 + np.exp(-track.values)) if self.sigmoid else track.values
        return replace(report, track=ScoreTrack(np.round(values, self.digits), track.starts))
