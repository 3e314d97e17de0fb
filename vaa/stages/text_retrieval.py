"""Scores by retrieval in the space of texts: how much a description resembles texts of abnormal scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from vaa.errors import ConfigError, require_share
from vaa.models.base import Encoder
from vaa.stages import embeddings
from vaa.stages.base import SEGMENT, Scope
from vaa.types import EmbedQuery, Floats, Report, ScoreTrack


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Texts of scenes, of two kinds.

    Raises:
        ConfigError: a kind has none, or one is empty.
    """

    abnormal: Sequence[str]
    normal: Sequence[str]

    def __post_init__(self) -> None:
        for kind, texts in (("abnormal", self.abnormal), ("normal", self.normal)):
            if not texts or not all(text.strip() for text in texts):
                raise ConfigError(f"memory.{kind}: give at least one text, none of them empty.")


@dataclass(frozen=True, kw_only=True)
class ScoreByTexts:
    """Score each segment by the similarity of its description to the texts of a memory.

    The weights are the softmax over all texts of the dot products with the description, divided by `temperature`; the
    score is `share` times the weight of the abnormal texts, plus 1 - `share` times the rating that the description has
    already. With a share of 1 ratings are not used.
    """

    scope: ClassVar[Scope] = SEGMENT

    model: Encoder
    memory: Memory
    temperature: float
    share: float

    def __post_init__(self) -> None:
        require_share(share=self.share)
        if not self.temperature > 0:
            raise ConfigError(f"temperature={self.temperature} must be above 0.")

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        """The descriptions, then the texts."""
        texts = (*self.memory.abnormal, *self.memory.normal)
        own = (EmbedQuery(video=report.video, at=0, text=text) for text in texts)
        return (*embeddings.text_queries(report, embeddings.descriptions(report)), *own)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with a score for each of its responses, and the track of them."""
        n = len(report.segments)
        vectors = np.asarray(answers, dtype=np.float64)
        weights = softmax(vectors[:n] @ vectors[n:].T / self.temperature, axis=1)
        scores = weights[:, : len(self.memory.abnormal)].sum(axis=1)
        if self.share < 1:
            ratings = np.array([response.score for response in report.responses], dtype=np.float64)
            scores = self.share * scores + (1 - self.share) * ratings
        pairs = zip(report.responses, scores.tolist(), strict=True)
        starts = np.array([segment.at for segment in report.segments], dtype=np.int64)
        responses = tuple(replace(response, score=score) for response, score in pairs)
        return replace(report, responses=responses, track=ScoreTrack(scores, starts))
