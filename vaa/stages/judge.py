"""Descriptions marked by an LLM (URF, Lin et al., NeurIPS 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vaa.models.base import LLM
from vaa.prompts.template import Prompt
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.stages.responses import count_answers
from vaa.types import GenerateQuery, Judgement, Report, Segment


@dataclass(frozen=True, kw_only=True)
class JudgeSummary:
    """Have an LLM mark every summary that has a reference, in three queries; a mark that cannot be parsed is NaN."""

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: LLM
    reasonability: Prompt
    detail: Prompt
    consistency: Prompt

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """Three, or none if the video has no reference or no summary."""
        reference = report.truth.text.strip() if report.truth else ""
        if not (reference and report.summary.strip()):
            return ()
        whole = Segment(0, report.video.n_frames, (), 0)
        return tuple(
            prompt.query(report.video, whole, reference=reference, description=report.summary)
            for prompt in self._prompts()
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its judgement."""
        if not answers:
            return report
        marks = []
        for prompt, answer in zip(self._prompts(), answers, strict=True):
            marks.append(prompt.parse(answer).score)
            report = count_answers(report, prompt, [answer], [not math.isnan(marks[-1])])
        return replace(report, judgement=Judgement(*marks))

    def _prompts(self) -> tuple[Prompt, Prompt, Prompt]:
        return self.reasonability, self.detail, self.consistency
