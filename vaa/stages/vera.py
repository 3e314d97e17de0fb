"""VERA (Ye et al., CVPR 2025): scores refined by those of the segments that look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaa.errors import VaaError
from vaa.models.base import Encoder
from vaa.stages import embeddings
from vaa.stages.scores import score_track
from vaa.types import EmbedQuery, Floats, Report, ScoreTrack


@dataclass(frozen=True)
class RetrievalRefine:
    """Average the scores of the segments that look most alike, weighted by softmax(similarity / temperature).

    A `share` of the video's segments is taken, at least one. A segment is one of them itself: nothing is more like it.
    Similarity is the cosine between the means of the shown frames.
    """

    model: Encoder
    share: float
    temperature: float

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and self.temperature > 0):
            raise VaaError(
                f"refinement: share={self.share} must be in (0, 1] and temperature={self.temperature} above 0."
            )

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The frames that are shown, each once."""
        return embeddings.shown(report)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its track refined."""
        track, vision = score_track(report), embeddings.of_shown(report, answers)
        count = max(1, int(self.share * len(vision) + 1e-9))
        values = embeddings.weighted(vision @ vision.T, track.values, count, self.temperature)
        return replace(report, track=ScoreTrack(values, track.starts))


@dataclass(frozen=True)
class RoundScores:
    """The scores to this many digits."""

    digits: int

    def __call__(self, report: Report) -> Report:
        """The report with its track rounded."""
        track = score_track(report)
        return replace(report, track=ScoreTrack(np.round(track.values, self.digits), track.starts))
