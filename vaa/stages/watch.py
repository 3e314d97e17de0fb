"""Watching untrimmed footage: one question about every segment, and a description of what is found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vaa.errors import require_share
from vaa.models.base import VLM, GivesProbabilities
from vaa.prompts.template import Prompt
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.responses import ChoiceScores, QuerySegments, choice_scores
from vaa.types import ChooseQuery, GenerateQuery, Report, Segment


@dataclass(frozen=True, kw_only=True)
class AskSegments:
    """Ask the VLM about every segment; the score is the probability of the answers that the parser reads as 1.

    A model without probabilities writes an answer, and the score is the one that the parser reads from it.
    """

    scope: ClassVar[Scope] = SEGMENT

    model: VLM
    prompt: Prompt
    choices: Sequence[str]

    def __post_init__(self) -> None:
        choice_scores(self.prompt, self.choices)

    @property
    def _stage(self) -> ChoiceScores | QuerySegments:
        if isinstance(self.model, GivesProbabilities) and self.model.gives_probabilities:
            return ChoiceScores(model=self.model, prompt=self.prompt, choices=self.choices)
        return QuerySegments(model=self.model, prompt=self.prompt)

    def queries(self, report: Report) -> tuple[ChooseQuery | GenerateQuery, ...]:
        """One per segment."""
        return self._stage.queries(report)

    def absorb(self, report: Report, answers: Sequence[Any]) -> Report:
        """The report with one response per segment."""
        return self._stage.absorb(report, answers)


@dataclass(frozen=True, kw_only=True)
class DescribeSegments:
    """Have the VLM describe the segments whose score is at least `threshold`; the others stay without description."""

    scope: ClassVar[Scope] = SEGMENT

    model: VLM
    prompt: Prompt
    threshold: float

    def __post_init__(self) -> None:
        require_share(threshold=self.threshold)

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per segment with such a score."""
        return tuple(self.prompt.query(report.video, segment) for _, segment in self._found(report))

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with descriptions; scores stay."""
        responses = list(report.responses)
        for (k, _), answer in zip(self._found(report), answers, strict=True):
            described = self.prompt.parse(answer)
            responses[k] = replace(
                responses[k],
                description=described.description,
                thoughts=described.thoughts or responses[k].thoughts,
            )
        return replace(report, responses=tuple(responses))

    def _found(self, report: Report) -> list[tuple[int, Segment]]:
        pairs = zip(report.segments, report.responses, strict=True)
        return [
            (k, segment)
            for k, (segment, response) in enumerate(pairs)
            if not math.isnan(response.score) and response.score >= self.threshold
        ]
