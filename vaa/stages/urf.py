"""URF (Lin et al., NeurIPS 2025): detection with a second rating, localisation, understanding and its judge.

Intra-Task Reasoning: FindSuspiciousWindow, TagWindow, DropUnusableTags, UncertaintyGate, RerateCaptions.
Inter-Task Chaining: LocateBoxes, DrawBoxes, DescribeVideo. JudgeSummary evaluates the descriptions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError, require_at_least
from vaa.models.base import LLM, VLM, Locator
from vaa.prompts.parsers import parse_boxes
from vaa.prompts.template import Prompt
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.stages.responses import InterpolateScores, add_ratings, caption_queries, count_answers
from vaa.stages.scores import score_track
from vaa.stages.window import evenly_spaced, sample_frames
from vaa.types import Box, DecoderName, GenerateQuery, Judgement, Report, Segment, SuspiciousWindow, local_path
from vaa.video.drawing import draw


@dataclass(frozen=True, kw_only=True)
class FindSuspiciousWindow:
    """Find the windows of highest and lowest mean score: 1 / `n_parts` of the video, at least `min_frames` long."""

    scope: ClassVar[Scope] = WHOLE_VIDEO

    n_parts: int
    min_frames: int

    def __post_init__(self) -> None:
        if self.n_parts < 1 or self.min_frames < 1:
            raise ConfigError(f"n_parts={self.n_parts} and min_frames={self.min_frames} must be at least 1.")

    def __call__(self, report: Report) -> Report:
        """The report with its suspicious window; the first window wins ties."""
        track = score_track(report)
        length = max(int(track.starts[-1]) // self.n_parts, self.min_frames)
        means = [_mean(track.values[window]) for window in _windows(track.starts, length)]
        highest, lowest = int(np.argmax(means)), int(np.argmin(means))
        high, low = _group_means(track.values, means[highest], means[lowest])
        highest_start, lowest_start = int(track.starts[highest]), int(track.starts[lowest])
        window = SuspiciousWindow(
            highest=(highest_start, highest_start + length),
            highest_mean=means[highest],
            lowest=(lowest_start, lowest_start + length),
            lowest_mean=means[lowest],
            std=float(np.std(track.values.astype(np.float32))),
            high_mean=high,
            low_mean=low,
        )
        return replace(report, suspicious_window=window)


@dataclass(frozen=True, kw_only=True)
class TagWindow:
    """Have the VLM name what is suspicious in the suspicious window.

    It is shown `sample_fps` frames per second, at most `max_frames`.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: VLM
    prompt: Prompt
    sample_fps: float
    max_frames: int

    def __post_init__(self) -> None:
        require_at_least(1, max_frames=self.max_frames)
        if not self.sample_fps > 0:
            raise ConfigError(f"TagWindow: sample_fps={self.sample_fps} must be above 0.")

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One, about the window."""
        start, stop = suspicious_window(report).highest
        stop = max(start + 1, min(stop, report.video.n_frames))
        frames = sample_frames(report.video, start, stop, self.sample_fps, self.max_frames)
        return (self.prompt.query(report.video, Segment(start, stop, frames, start), report.definition),)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its tags."""
        return replace(report, tags=self.prompt.parse(answers[0]).description)


@dataclass(frozen=True, kw_only=True)
class DropUnusableTags:
    """Drop tags that are empty, equal to one of `empty_tags` or contain one of `negations`, ignoring case."""

    scope: ClassVar[Scope] = WHOLE_VIDEO

    empty_tags: Sequence[str]
    negations: Sequence[str]

    def __call__(self, report: Report) -> Report:
        """The report with or without its tags."""
        tags = report.tags.strip(" []").lower()
        usable = bool(tags) and tags not in self.empty_tags and not any(negation in tags for negation in self.negations)
        return report if usable else replace(report, tags="")


@dataclass(frozen=True, kw_only=True)
class UncertaintyGate:
    """Mark a video as uncertain whose highest mean is within `margin` of 0.5; margin None: the variance of its scores.

    As the authors store them, the mean is rounded to 3 digits and the standard deviation to 5.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    margin: float | None

    def __post_init__(self) -> None:
        require_at_least(0, margin=self.margin)

    def __call__(self, report: Report) -> Report:
        """The report with `gated` set."""
        window = suspicious_window(report)
        margin = round(window.std, 5) ** 2 if self.margin is None else self.margin
        return replace(report, gated=0.5 - margin <= round(window.highest_mean, 3) <= 0.5 + margin)


@dataclass(frozen=True, kw_only=True)
class RerateCaptions:
    """Have the LLM rate the captions of an uncertain video again, given its tags, if it has any.

    `prior` describes the data set's anomalies ("suspicious or violent"); the first `max_words` words of the tags are
    given. Ratings that cannot be parsed are interpolated to `digits` digits.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: LLM
    prompt: Prompt
    prior: str
    max_words: int
    digits: int

    def __post_init__(self) -> None:
        require_at_least(0, digits=self.digits, max_words=self.max_words)

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per segment of an uncertain video with tags, none for other videos."""
        if not (report.gated and report.tags):
            return ()
        tags = " ".join(report.tags.split()[: self.max_words])
        return caption_queries(self.prompt, report, tags=tags, prior=self.prior)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the new ratings and their track; its old ones if there is no answer or none can be parsed."""
        if not answers:
            return report
        rated = add_ratings(report, self.prompt, answers)
        if all(math.isnan(response.score) for response in rated.responses):
            return replace(rated, responses=report.responses)
        return InterpolateScores(digits=self.digits)(rated)


@dataclass(frozen=True, kw_only=True)
class LocateBoxes:
    """Have the VLM give boxes, one query per frame (Video Anomaly Localisation).

    `frames`: `annotated` (those with ground-truth boxes, for evaluation) or `window` (every `stride`-th of the
    suspicious window, if its mean is above 0.5 and there are tags; for use). `prior`: the `tags`, `none`, or the true
    `class` (an oracle). Without a prior the query is `prompt_without_tags`.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: VLM
    prompt: Prompt
    prompt_without_tags: Prompt
    frames: str
    prior: str
    stride: int

    def __post_init__(self) -> None:
        require_at_least(1, stride=self.stride)
        if self.frames not in ("annotated", "window"):
            raise ConfigError(f"LocateBoxes: frames={self.frames}: choose annotated or window.")
        if self.prior not in ("tags", "none", "class"):
            raise ConfigError(f"LocateBoxes: prior={self.prior}: choose tags, none or class.")
        _ = self._locator

    @property
    def _locator(self) -> Locator:
        if not isinstance(self.model, Locator):
            raise ConfigError(f"LocateBoxes: {type(self.model).__name__} gives no boxes; choose another vlm.")
        return self.model

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per frame."""
        tags = self._tags(report)
        prompt, fields = (self.prompt, {"tags": tags}) if tags else (self.prompt_without_tags, {})
        return tuple(
            prompt.query(report.video, Segment(frame, frame + 1, (frame,), frame), report.definition, **fields)
            for frame in self._frames(report)
        )

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the boxes in pixels of the video's frames; answers that cannot be parsed are counted."""
        boxes, frames, parsed = [], self._frames(report), [parse_boxes(answer) for answer in answers]
        for frame, parsed_boxes in zip(frames, parsed, strict=True):
            for x1, y1, x2, y2, confidence in parsed_boxes or ():
                boxes.append(Box(frame, self._locator.to_frame(report.video, (x1, y1, x2, y2)), confidence))
        located = replace(report, boxes=report.boxes + tuple(boxes), located_frames=report.located_frames + frames)
        return count_answers(located, self.prompt, answers, [each is not None for each in parsed])

    def _frames(self, report: Report) -> tuple[int, ...]:
        if self.frames == "annotated":
            return tuple(dict.fromkeys(box.frame for box in report.truth.boxes)) if report.truth else ()
        window = suspicious_window(report)
        if window.highest_mean <= 0.5 or not report.tags:
            return ()
        return tuple(range(window.highest[0], min(window.highest[1], report.video.n_frames), self.stride))

    def _tags(self, report: Report) -> str:
        if self.prior == "class":
            return report.truth.label if report.truth else ""
        return report.tags if self.prior == "tags" else ""


@dataclass(frozen=True, kw_only=True)
class DrawBoxes:
    """Draw the boxes into a copy of the video in `folder`; `hold` draws each of them up to the frame of the next."""

    scope: ClassVar[Scope] = WHOLE_VIDEO

    folder: str
    hold: bool
    decoder: DecoderName

    def __call__(self, report: Report) -> Report:
        """The report with the copy, if there is a box to draw."""
        if not report.boxes:
            return report
        folder = local_path(self.folder)
        return replace(report, drawn_video=draw(report.video, report.boxes, folder, self.hold, self.decoder))


@dataclass(frozen=True, kw_only=True)
class DescribeVideo:
    """Have the VLM describe the anomaly of the whole video, or of its copy with boxes, in `n_frames` frames.

    The query contains the tags, or the text `no_tags`.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: VLM
    prompt: Prompt
    n_frames: int
    no_tags: str

    def __post_init__(self) -> None:
        require_at_least(1, n_frames=self.n_frames)

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One."""
        n = report.video.n_frames
        whole = Segment(0, n, evenly_spaced(0, n, min(self.n_frames, max(1, n))), 0)
        tags, video = report.tags or self.no_tags, report.drawn_video or report.video
        return (self.prompt.query(video, whole, report.definition, tags=tags),)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its summary."""
        return replace(report, summary=self.prompt.parse(answers[0]).description)


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


def suspicious_window(report: Report) -> SuspiciousWindow:
    """The suspicious window of a report.

    Raises:
        ConfigError: no earlier stage has found it.
    """
    if report.suspicious_window is None:
        raise ConfigError("stages: a stage that needs the suspicious window comes before the one that finds it.")
    return report.suspicious_window


def _windows(starts: NDArray[np.int64], length: int) -> list[slice]:
    """For each value, the values that start within `length` frames from it; fewer at the end."""
    ends = np.searchsorted(starts, starts + length, side="left")
    return [slice(first, int(end)) for first, end in enumerate(ends)]


def _mean(values: NDArray[np.float64]) -> float:
    """The mean, summed from left to right: NumPy's pairwise sum breaks ties between windows differently."""
    return float(np.cumsum(values)[-1] / len(values))


def _group_means(values: NDArray[np.float64], best: float, worst: float) -> tuple[float, float]:
    """The means of the values nearer to `best` (also ties) and to `worst`, in float32 as in the authors' code."""
    single = values.astype(np.float32)
    high = np.abs(single - np.float32(best)) <= np.abs(single - np.float32(worst))
    near_best, near_worst = (group if len(group) else single for group in (single[high], single[~high]))
    return float(near_best.mean()), float(near_worst.mean())
