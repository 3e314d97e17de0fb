"""Where in the picture: boxes on single frames (URF, Video Anomaly Localisation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaa.errors import VaaError
from vaa.models.base import VLM, Locator
from vaa.prompts.parsers import parse_boxes
from vaa.prompts.template import Prompt
from vaa.stages.urf import suspicious_window
from vaa.types import Box, GenerateQuery, Report, Segment


@dataclass(frozen=True)
class LocateBoxes:
    """Ask for boxes, one question a frame.

    `frames`: `annotated` (those the truth has boxes on: for evaluation) or `window` (every `stride`-th of the
    suspicious window, where its mean is above 0.5 and there are tags: for use). `prior`: the `tags`, `none`, or
    the true `class` (an oracle). Without tags the prompt `unnamed` is put instead of `named`.
    """

    model: VLM
    named: Prompt
    unnamed: Prompt
    frames: str
    prior: str
    stride: int

    def __post_init__(self) -> None:
        if self.frames not in ("annotated", "window"):
            raise VaaError(f"stages.locate.frames={self.frames}: choose annotated or window.")
        if self.prior not in ("tags", "none", "class"):
            raise VaaError(f"stages.locate.prior={self.prior}: choose tags, none or class.")
        _ = self._locator

    @property
    def _locator(self) -> Locator:
        if not isinstance(self.model, Locator):
            raise VaaError(f"{type(self.model).__name__} gives no boxes; choose another vlm.")
        return self.model

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One a frame."""
        tags = self._tags(report)
        prompt, fields = (self.named, {"tags": tags}) if tags else (self.unnamed, {})
        return tuple(
            prompt.query(report.video, Segment(frame, frame + 1, (frame,), frame), **fields)
            for frame in self._frames(report)
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the boxes in the frames' own pixels; what cannot be read as boxes is counted."""
        found, unparsed, frames = [], 0, self._frames(report)
        for frame, answer in zip(frames, answers, strict=True):
            read = parse_boxes(answer)
            unparsed += read is None
            for x1, y1, x2, y2, confidence in read or ():
                found.append(Box(frame, self._locator.to_frame(report.video, (x1, y1, x2, y2)), confidence))
        read_now, missed = report.answers + len(answers), report.unparsed + unparsed
        seen = replace(report, boxes=report.boxes + tuple(found), looked=report.looked + frames)
        return replace(seen, answers=read_now, unparsed=missed)

    def _frames(self, report: Report) -> tuple[int, ...]:
        if self.frames == "annotated":
            return tuple(dict.fromkeys(box.frame for box in report.truth.boxes)) if report.truth else ()
        found = suspicious_window(report)
        if found.highest_mean <= 0.5 or not report.tags:
            return ()
        return tuple(range(found.highest[0], min(found.highest[1], report.video.n_frames), self.stride))

    def _tags(self, report: Report) -> str:
        if self.prior == "class":
            return report.truth.label if report.truth else ""
        return report.tags if self.prior == "tags" else ""
