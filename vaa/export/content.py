"""What a finished run has for the layouts: captions, scores and tags of its videos, by the stages that made them.

Stages are known by their names in conf/method/: `describe`, `score`, `rerate`, `refine` and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vaa.errors import DataError
from vaa.report.runs import Run
from vaa.types import Report


@dataclass(frozen=True)
class ExportFile:
    """A file of a layout: its path under the folder of the export, and its content: bytes, or JSON."""

    path: str
    content: Any


@dataclass(frozen=True)
class VideoHistory:
    """A video's reports after each stage, by name, in order."""

    video: str
    reports: Mapping[str, Report]

    @property
    def final(self) -> Report:
        """The report after the last stage."""
        return self.reports[[*self.reports][-1]]

    def after(self, *stages: str) -> Report | None:
        """The report after the last of these stages that ran; None if none did."""
        names = [name for name in self.reports if name in stages]
        return self.reports[names[-1]] if names else None

    def captions(self) -> dict[str, str]:
        """Frame -> the description of the segment that is named by it; empty if no segment has one."""
        report = self.final
        texts = [response.description for response in report.responses]
        return by_frame([segment.at for segment in report.segments], texts) if any(texts) else {}

    def first_scores(self) -> dict[str, float]:
        """Frame -> the score of a segment before it is rated again, refined or smoothed; empty if there is none."""
        return _scores(self.after("score", "read"))

    def refined_scores(self) -> dict[str, float]:
        """Frame -> the score after second ratings and refinement, before smoothing; empty in a run without them.

        Where a run has second ratings, it has these scores of every video, rated again or not.
        """
        first, refined = self.after("score", "read"), self.after("rerate", "refine")
        if first is None or refined is None or (refined.track is first.track and "rerate" not in self.reports):
            return {}
        return _scores(refined)


def histories(run: Run) -> Iterator[VideoHistory]:
    """The videos of a run that did not fail, in the order of their names.

    Raises:
        DataError: a file of the run is missing or damaged, or the run has no video.
    """
    history = run.evaluation.history
    if not run.videos:
        raise DataError(f"{run.folder}: every video of this run failed, so there is nothing to write.")
    for video in run.videos:
        reports = history[video]
        if reports:
            yield VideoHistory(video, reports)


def model_name(run: Run, *groups: str) -> str:
    """The run's choice in the first of these config groups that its method has; `vaa` if it has none of them."""
    return next((run.choices[group] for group in groups if group in run.choices), "vaa")


def by_frame(frames: list[int], values: list[Any]) -> dict[str, Any]:
    """Frame number, as text -> value."""
    return {str(frame): value for frame, value in zip(frames, values, strict=True)}


class EvenSpacing:
    """Checks that the entries of all videos are equally spaced from frame 0 on, as loops of the programs expect."""

    def __init__(self, run: Run) -> None:
        self.run, self.step = run, 0

    def check(self, video: str, entries: Mapping[str, Any]) -> None:
        """Check the frames of a video's entries.

        Raises:
            DataError: they are not equally spaced, or the spacing differs from that of earlier videos.
        """
        frames = [int(frame) for frame in entries]
        step = frames[1] - frames[0] if len(frames) > 1 else self.step
        if frames != [k * step for k in range(len(frames))] or (self.step and len(frames) > 1 and step != self.step):
            raise DataError(
                f"{self.run.folder}: the segments of '{video}' do not begin every {self.step or step} frames from the "
                "first frame on, as this layout needs. Run it with a window in frames, such as window=centred16x10s."
            )
        self.step = step


def _scores(report: Report | None) -> dict[str, float]:
    if report is None or report.track is None:
        return {}
    return by_frame(report.track.starts.tolist(), report.track.values.tolist())
