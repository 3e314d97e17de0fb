"""A judge: an LLM marks a video's summary beside the reference (URF)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaa.models.base import LLM
from vaa.prompts.template import Prompt
from vaa.types import GenerateQuery, Judgement, Report, Segment

log = logging.getLogger("vaa")


@dataclass(frozen=True)
class JudgeSummary:
    """Ask an LLM three questions about every summary that has a reference; a mark that cannot be read is NaN."""

    model: LLM
    reasonability: Prompt
    detail: Prompt
    consistency: Prompt

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """Three, or none where there is no reference or no summary."""
        reference = report.truth.text.strip() if report.truth else ""
        if not (reference and report.summary.strip()):
            return ()
        whole = Segment(0, report.video.n_frames, (), 0)
        return tuple(
            prompt.query(report.video, whole, reference=reference, description=report.summary)
            for prompt in self._prompts()
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its judgement, or as it was where nothing was asked."""
        if not answers:
            return report
        marks = [prompt.read(answer).score for prompt, answer in zip(self._prompts(), answers, strict=True)]
        unparsed = sum(map(math.isnan, marks))
        if unparsed:
            log.warning("%s: %d of the judge's %d marks cannot be read", report.video.id, unparsed, len(marks))
        judgement = Judgement(*marks)
        return replace(
            report, judgement=judgement, answers=report.answers + len(marks), unparsed=report.unparsed + unparsed
        )

    def _prompts(self) -> tuple[Prompt, Prompt, Prompt]:
        return self.reasonability, self.detail, self.consistency
