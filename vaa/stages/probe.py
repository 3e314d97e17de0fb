"""Probe-VAD (2026): ordered threshold questions, answered by probabilities, not by words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaa.errors import VaaError
from vaa.models.base import VLM
from vaa.prompts.template import Prompt
from vaa.stages.responses import choice_scores
from vaa.types import ChooseQuery, Floats, Report, Response


@dataclass(frozen=True)
class ThresholdProbe:
    """Ask of every segment whether it reaches each of the `thresholds`; the score is the mean of the probabilities.

    A higher threshold cannot be likelier reached than a lower one: the probabilities are projected onto that. It leaves
    their mean, and so the score, as it is; the projected ones are what the report shows. A segment one of whose
    questions has no probability has no score, and is counted.
    """

    model: VLM
    prompt: Prompt
    thresholds: Sequence[float]
    choices: Sequence[str]

    def __post_init__(self) -> None:
        if not self.thresholds or any(b <= a for a, b in zip(self.thresholds, self.thresholds[1:], strict=False)):
            raise VaaError(f"stages.ask.thresholds={list(self.thresholds)}: must rise, and be at least one.")
        choice_scores(self.prompt, self.choices)

    def queries(self, report: Report) -> tuple[ChooseQuery, ...]:
        """One a threshold of each segment, those of a segment together: they share its frames."""
        return tuple(
            self.prompt.choice_query(report.video, segment, self.choices, threshold=f"{threshold:.1f}")
            for segment in report.segments
            for threshold in self.thresholds
        )

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with a response a segment, whose text is the projected probabilities."""
        worth = choice_scores(self.prompt, self.choices)
        reached = (np.asarray(answers, dtype=np.float64) @ worth).reshape(-1, len(self.thresholds))
        responses = tuple(_response(row) for row in reached)
        unparsed = sum(math.isnan(response.score) for response in responses)
        read, missed = report.answers + len(responses), report.unparsed + unparsed
        return replace(report, responses=responses, answers=read, unparsed=missed)


def decreasing(probabilities: Floats) -> Floats:
    """The nearest row (least squares) that does not rise: pool adjacent violators."""
    from sklearn.isotonic import isotonic_regression  # slow to load, and of use here alone

    return np.asarray(isotonic_regression(probabilities, increasing=False), dtype=np.float64)


def _response(probabilities: Floats) -> Response:
    if not np.isfinite(probabilities).all():
        return Response("", math.nan, "")
    projected = decreasing(probabilities)
    return Response(" ".join(f"{p:.4f}" for p in projected), float(projected.mean()), "")
