"""What is wrong and why: the whole video described with what the other tasks found (URF, Inter-Task Chaining)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaa.models.base import VLM
from vaa.prompts.template import Prompt
from vaa.stages.window import sample_frames
from vaa.types import GenerateQuery, Report, Segment
from vaa.video.drawing import draw


@dataclass(frozen=True)
class DrawBoxes:
    """Draw the boxes found so far into a copy of the video, in `folder`; `hold` keeps each up to the next."""

    folder: str
    hold: bool
    decoder: str

    def __call__(self, report: Report) -> Report:
        """The report with its drawn copy, if there is a box to draw."""
        if not report.boxes:
            return report
        return replace(report, drawn=draw(report.video, report.boxes, Path(self.folder), self.hold, self.decoder))


@dataclass(frozen=True)
class DescribeVideo:
    """Ask what `shown` frames of the whole video, or of its drawn copy, say of any anomaly, handing over the tags."""

    model: VLM
    prompt: Prompt
    shown: int
    nothing: str

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One, of the drawn copy where there is one; `nothing` stands where there are no tags."""
        n = report.video.n_frames
        whole = Segment(0, n, sample_frames(0, n, 1.0, self.shown), 0)
        return (self.prompt.query(report.drawn or report.video, whole, tags=report.tags or self.nothing),)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its summary."""
        return replace(report, summary=self.prompt.read(answers[0]).description)
