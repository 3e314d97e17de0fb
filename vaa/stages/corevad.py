"""CoReVAD (Lim & Hur, ICPR 2026): answers cleaned locally, scores refined over the whole video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from vaa.errors import VaaError
from vaa.models.base import Encoder
from vaa.stages import embeddings
from vaa.stages.scores import score_track
from vaa.types import EmbedQuery, Floats, Report, ScoreTrack


@dataclass(frozen=True)
class LocalClean:
    """Give each segment the best-fitting response of those within `radius`; the first wins ties (LRC)."""

    model: Encoder
    radius: int

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise VaaError(f"stages.clean.radius={self.radius}: must not be negative.")

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The segments' frames, then the responses' whole texts."""
        return embeddings.segments(report) + embeddings.texts(report, [response.text for response in report.responses])

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its responses exchanged among neighbours."""
        vision, text = embeddings.split(answers)
        similarity = vision @ text.T
        best = []
        for i, row in enumerate(similarity):
            first = max(0, i - self.radius)
            best.append(first + int(np.argmax(row[first : i + self.radius + 1])))
        return replace(report, responses=tuple(report.responses[k] for k in best))


@dataclass(frozen=True)
class SoftmaxRefine:
    """Average all scores of the video, weighted by how well each description fits the segment's frames."""

    model: Encoder
    temperature: float

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise VaaError(f"refinement.temperature={self.temperature}: must be above 0.")

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The segments' frames, then the responses' descriptions."""
        return embeddings.segments(report) + embeddings.texts(report, embeddings.descriptions(report))

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its track refined: values (n,) = softmax(similarity / temperature) (n, n) @ values (n,)."""
        vision, text = embeddings.split(answers)
        track = score_track(report)
        weights = softmax(vision @ text.T / self.temperature, axis=1)
        return replace(report, track=ScoreTrack(weights @ track.values, track.starts))
