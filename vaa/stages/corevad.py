"""CoReVAD (Lim & Hur, ICPR 2026): answers cleaned among neighbours, scores refined over the whole video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from vaa.errors import ConfigError
from vaa.models.base import Encoder
from vaa.stages import embeddings
from vaa.stages.base import Neighbours, Scope
from vaa.stages.scores import FloatType, check_float_type, score_track
from vaa.types import EmbedQuery, Floats, Report, ScoreTrack


@dataclass(frozen=True, kw_only=True)
class LocalClean:
    """Give each segment the response within `radius` that fits its frames best; the first wins ties (LRC)."""

    model: Encoder
    radius: int

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ConfigError(f"LocalClean: radius={self.radius} must not be negative.")

    @property
    def scope(self) -> Scope:
        """The segments within the radius."""
        return Neighbours(self.radius)

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The segments' frames, then the responses' whole texts."""
        texts = [response.text for response in report.responses]
        return embeddings.segment_queries(report) + embeddings.text_queries(report, texts)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its responses exchanged among neighbours."""
        vision, text = embeddings.split(answers)
        similarity = vision @ text.T
        best = []
        for i, row in enumerate(similarity):
            first = max(0, i - self.radius)
            best.append(first + int(np.argmax(row[first : i + self.radius + 1])))
        return replace(report, responses=tuple(report.responses[k] for k in best))


@dataclass(frozen=True, kw_only=True)
class SoftmaxRefine:
    """Average all scores of the video, weighted by how well each description fits the segment's frames.

    `precision` is the float type of similarities, weights and refined scores. The authors' is float16, whose sums
    overflow in videos of more than 65,504 segments.
    """

    scope: ClassVar[Scope] = Neighbours(None)

    model: Encoder
    temperature: float
    precision: FloatType

    def __post_init__(self) -> None:
        check_float_type("refinement.precision", self.precision)
        if not self.temperature > 0:
            raise ConfigError(f"refinement: temperature={self.temperature} must be above 0.")

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The segments' frames, then the responses' descriptions."""
        return embeddings.segment_queries(report) + embeddings.text_queries(report, embeddings.descriptions(report))

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with its track refined: values (n,) = softmax(similarity / temperature) (n, n) @ values (n,)."""
        vision, text = embeddings.split(answers)
        track = score_track(report)
        if self.precision == "float64":
            weights = softmax(vision @ text.T / self.temperature, axis=1)
            return replace(report, track=ScoreTrack(weights @ track.values, track.starts))
        # Rounded where the authors' program rounds: segments' vectors, similarities, exponentials, weights, scores.
        vision = vision.astype(self.precision).astype(np.float32)
        similarity = (vision @ text.T.astype(np.float32)).astype(self.precision)
        exponentials = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / self.temperature)
        weights = exponentials / exponentials.sum(axis=1, keepdims=True)
        refined = (weights * track.values.astype(self.precision)).sum(axis=1)
        return replace(report, track=ScoreTrack(refined.astype(np.float64), track.starts))
