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

    `fraction` of the video's segments is used, at least one; the segment itself is always the most similar. Similarity
    is the cosine between the mean embeddings of the segments' `frames`.
    """

    scope: ClassVar[Scope] = Neighbours(None)

    model: Encoder
    fraction: float
    temperature: float

    def __post_init__(self) -> None:
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
        count = max(1, int(self.fraction * len(vision) + 1e-9))
        values = embeddings.nearest_average(vision @ vision.T, track.values, count, self.temperature)
        return replace(report, track=ScoreTrack(values, track.starts))


@dataclass(frozen=True, kw_only=True)
class RoundScores:
    """Round the scores to `digits` digits."""

    scope: ClassVar[Scope] = SEGMENT

    digits: int

    def __post_init__(self) -> None:
        require_at_least(0, digits=self.digits)

    def __call__(self, report: Report) -> Report:
        """The report with its track rounded."""
        track = score_track(report)
        return replace(report, track=ScoreTrack(np.round(track.values, self.digits), track.starts))
