"""URF (Lin et al., NeurIPS 2025): detection with a second rating, localisation, understanding.

Intra-Task Reasoning: FindSuspiciousWindow, TagWindow, DropUnusableTags, UncertaintyGate, RerateCaptions.
Inter-Task Chaining: LocateBoxes, DrawBoxes, DescribeVideo. vaa/stages/judge.py evaluates the descriptions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError, require_at_least
from vaa.generation import GenerationConfig
from vaa.models.base import LLM, VLM, CountsTokens, Locator
from vaa.prompts.parsers import parse_boxes, parse_first_box
from vaa.prompts.template import Prompt
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.stages.responses import InterpolateScores, add_ratings, caption_queries, count_answers
from vaa.stages.scores import score_track
from vaa.stages.window import Sampling, check_sampling, clip_frames
from vaa.types import Box, DecoderName, GenerateQuery, Report, Segment, SuspiciousWindow, local_path
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

    It is shown `sample_fps` frames per second, at most `max_frames`, by `sampling` (see CentredWindow). `generation`
    replaces the model's own where it is not None.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: VLM
    prompt: Prompt
    sample_fps: float
    max_frames: int
    sampling: Sampling
    generation: GenerationConfig | None

    def __post_init__(self) -> None:
        check_sampling(self.sampling)
        require_at_least(1, max_frames=self.max_frames)
        if not self.sample_fps > 0:
            raise ConfigError(f"TagWindow: sample_fps={self.sample_fps} must be above 0.")

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One, about the window."""
        start, stop = suspicious_window(report).highest
        stop = max(start + 1, min(stop, report.video.n_frames))
        shown = clip_frames(report.video, start, stop, self.sample_fps, self.max_frames, self.sampling)
        window = Segment(start, stop, shown.frames, start, shown.times)
        query = self.prompt.query(report.video, window, report.definition)
        return (replace(query, generation=self.generation),)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its tags."""
        tags = self.prompt.parse(answers[0]).description
        return replace(report, tags=tags, all_tags=tags)


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

    `prior` describes the data set's anomalies ("suspicious or violent"). A video whose tags have more than `max_tokens`
    tokens is not rated again, and of other tags as many words are given as fit into `max_tokens` with the rest of the
    instruction; tokens are the LLM's, and four characters each where its tokenizer is not known. Ratings that cannot be
    parsed are interpolated to `digits` digits.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: LLM
    prompt: Prompt
    prior: str
    max_tokens: int
    digits: int | None

    def __post_init__(self) -> None:
        require_at_least(0, digits=self.digits, max_tokens=self.max_tokens)

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per segment of an uncertain video with tags that fit, none for other videos."""
        tags = self._fitting_tags(report) if report.gated and report.tags else ""
        return caption_queries(self.prompt, report, end="", tags=tags, prior=self.prior) if tags else ()

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the new ratings and their track; its old ones if there is no answer or none can be parsed."""
        if not answers:
            return report
        rated = add_ratings(report, self.prompt, answers)
        if all(math.isnan(response.score) for response in rated.responses):
            return replace(rated, responses=report.responses)
        return InterpolateScores(digits=self.digits)(rated)

    def _fitting_tags(self, report: Report) -> str:
        """The words of the tags that fit, "" if the tags are too long."""
        words = report.tags.strip().removeprefix("[").removesuffix("]").split()
        if self._n_tokens(" ".join(words)) > self.max_tokens:
            return ""
        whole = Segment(0, report.video.n_frames, (), 0)
        rest = self.prompt.query(report.video, whole, report.definition, caption="", tags="", prior=self.prior)
        space = self.max_tokens - self._n_tokens(rest.system) - self._n_tokens(rest.text)
        while words and self._n_tokens(" ".join(words)) > space:
            words.pop()
        return " ".join(words)

    def _n_tokens(self, text: str) -> int:
        if isinstance(self.model, CountsTokens):
            return self.model.count_tokens(text)
        return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)


_CHARACTERS_PER_TOKEN = 4
"""Of English, where the tokenizer is not known."""


@dataclass(frozen=True, kw_only=True)
class LocateBoxes:
    """Have the VLM give boxes, one query per frame (Video Anomaly Localisation).

    `frames`: `annotated` (those with ground-truth boxes, for evaluation) or `window` (every `stride`-th of the
    suspicious window and the frame after it, if its mean is above 0.5 and its tags are there and contain none of
    `skipped`; for use). `prior`: the `tags`, `none`, or the true `class` (an oracle). The query is
    `prompt_without_tags` if there is no prior, or it contains one of `unnamed`, ignoring case.

    `parsing`: `first`, as in the authors' program (see `parse_first_box`), or `all` boxes of an answer. `map_boxes`:
    whether boxes are mapped from the model's coordinates to those of the frame; the authors' are not.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: VLM
    prompt: Prompt
    prompt_without_tags: Prompt
    frames: str
    prior: str
    stride: int
    skipped: Sequence[str]
    unnamed: Sequence[str]
    parsing: str
    map_boxes: bool

    needs_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(1, stride=self.stride)
        for name, choices in _LOCATE_CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ConfigError(f"LocateBoxes: {name}={value}: choose one of {', '.join(choices)}.")
        _ = self._locator

    @property
    def _locator(self) -> Locator:
        if not isinstance(self.model, Locator):
            raise ConfigError(f"LocateBoxes: {type(self.model).__name__} gives no boxes; choose another model.")
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
        parse = parse_first_box if self.parsing == "first" else parse_boxes
        boxes, frames, parsed = [], self._frames(report), [parse(answer) for answer in answers]
        for frame, parsed_boxes in zip(frames, parsed, strict=True):
            for *corners, confidence in parsed_boxes or ():
                x1, y1, x2, y2 = corners
                xyxy = self._locator.to_frame(report.video, (x1, y1, x2, y2)) if self.map_boxes else (x1, y1, x2, y2)
                boxes.append(Box(frame, xyxy, confidence))
        located = replace(report, boxes=report.boxes + tuple(boxes), located_frames=report.located_frames + frames)
        return count_answers(located, self.prompt, answers, [each is not None for each in parsed])

    def _frames(self, report: Report) -> tuple[int, ...]:
        if self.frames == "annotated":
            return tuple(dict.fromkeys(box.frame for box in report.truth.boxes)) if report.truth else ()
        window, tags = suspicious_window(report), report.all_tags
        if round(window.highest_mean, 3) <= 0.5 or not tags or any(text in tags for text in self.skipped):
            return ()
        return tuple(range(window.highest[0], min(window.highest[1] + 1, report.video.n_frames), self.stride))

    def _tags(self, report: Report) -> str:
        if self.prior == "class":
            return report.truth.label if report.truth else ""
        tags = report.all_tags if self.prior == "tags" else ""
        return "" if tags == "[]" or any(text in tags.lower() for text in self.unnamed) else tags


_LOCATE_CHOICES = {
    "frames": ("annotated", "window"),
    "prior": ("tags", "none", "class"),
    "parsing": ("first", "all"),
}


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
    """Have the VLM describe the anomaly of the whole video, or of its copy with boxes.

    It is shown `sample_fps` frames per second, at most `max_frames`, by `sampling` (see CentredWindow). The query
    contains the tags, also unusable ones, or the text `no_tags` where there are none.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    model: VLM
    prompt: Prompt
    sample_fps: float
    max_frames: int
    sampling: Sampling
    no_tags: str

    def __post_init__(self) -> None:
        check_sampling(self.sampling)
        require_at_least(1, max_frames=self.max_frames)
        if not self.sample_fps > 0:
            raise ConfigError(f"DescribeVideo: sample_fps={self.sample_fps} must be above 0.")

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One."""
        n = report.video.n_frames
        shown = clip_frames(report.video, 0, n, self.sample_fps, self.max_frames, self.sampling)
        tags, video = report.all_tags or self.no_tags, report.drawn_video or report.video
        whole = Segment(0, n, shown.frames, 0, shown.times)
        return (self.prompt.query(video, whole, report.definition, tags=tags),)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its summary."""
        return replace(report, summary=self.prompt.parse(answers[0]).description)


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
