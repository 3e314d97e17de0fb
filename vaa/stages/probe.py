"""Probe-VAD (2026): ordered threshold queries, answered by probabilities instead of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from vaa.errors import ConfigError, require_share
from vaa.models.base import VLM
from vaa.prompts.template import Prompt
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.responses import choice_scores
from vaa.types import ChooseQuery, Floats, Report, Response


@dataclass(frozen=True, kw_only=True)
class ThresholdProbe:
    """Ask whether a segment's severity reaches each of the `thresholds`; the score is the mean of the probabilities.

    A higher threshold cannot be more probable than a lower one, so the probabilities are projected onto decreasing
    ones. This does not change their mean; the report shows the projected ones. A segment with an invalid probability
    has no score and counts as unparsed.
    """

    scope: ClassVar[Scope] = SEGMENT

    model: VLM
    prompt: Prompt
    thresholds: Sequence[float]
    choices: Sequence[str]

    def __post_init__(self) -> None:
        for threshold in self.thresholds:
            require_share(thresholds=threshold)
        if not self.thresholds or any(b <= a for a, b in zip(self.thresholds, self.thresholds[1:], strict=False)):
            raise ConfigError(
                f"ThresholdProbe: thresholds={list(self.thresholds)} must not be empty, and must increase."
            )
        choice_scores(self.prompt, self.choices)

    def queries(self, report: Report) -> tuple[ChooseQuery, ...]:
        """One per segment and threshold; those of a segment are adjacent, since they share its frames."""
        return tuple(
            self.prompt.choice_query(
                report.video, segment, self.choices, report.definition, threshold=f"{threshold:.1f}"
            )
            for segment in report.segments
            for threshold in self.thresholds
        )

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with one response per segment; its text is the projected probabilities."""
        scores = choice_scores(self.prompt, self.choices)
        probabilities = (np.asarray(answers, dtype=np.float64) @ scores).reshape(-1, len(self.thresholds))
        responses = tuple(_response(row) for row in probabilities)
        n_answers = report.n_answers + len(responses)
        n_unparsed = report.n_unparsed + sum(math.isnan(response.score) for response in responses)
        return replace(report, responses=responses, n_answers=n_answers, n_unparsed=n_unparsed)


def decreasing(probabilities: Floats) -> Floats:
    """The nearest row, by least squares, that does not increase."""
    from sklearn.isotonic import isotonic_regression  # slow to import

    return np.asarray(isotonic_regression(probabilities, increasing=False), dtype=np.float64)


def _response(probabilities: Floats) -> Response:
    if not np.isfinite(probabilities).all():
        return Response("", math.nan, "")
    projected = decreasing(probabilities)
    return Response(" ".join(f"{p:.4f}" for p in projected), float(projected.mean()), "")
