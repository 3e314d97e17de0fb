"""URF (Lin et al., NeurIPS 2025): second thoughts where the first scores leave doubt (Intra-Task Reasoning)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaa.errors import VaaError
from vaa.models.base import LLM, VLM
from vaa.prompts.template import Prompt
from vaa.stages.responses import InterpolateScores, of_captions, rated
from vaa.stages.scores import score_track
from vaa.stages.window import sample_frames
from vaa.types import GenerateQuery, Report, Segment, SuspiciousWindow


@dataclass(frozen=True)
class FindSuspiciousWindow:
    """Find the windows of highest and lowest mean score: a `share` of the video long, but at least `least` frames."""

    share: int
    least: int

    def __post_init__(self) -> None:
        if self.share < 1 or self.least < 1:
            raise VaaError(f"stages.suspect: share={self.share} and least={self.least} must be at least 1.")

    def __call__(self, report: Report) -> Report:
        """The report with its suspicion; the first window wins ties."""
        track = score_track(report)
        length = max(int(track.starts[-1]) // self.share, self.least)
        means = [_mean(track.values[within]) for within in _windows(track.starts, length)]
        best, worst = int(np.argmax(means)), int(np.argmin(means))
        high, low = _groups(track.values, means[best], means[worst])
        first, last = int(track.starts[best]), int(track.starts[worst])
        found = SuspiciousWindow(
            highest=(first, first + length),
            highest_mean=means[best],
            lowest=(last, last + length),
            lowest_mean=means[worst],
            std=float(np.std(track.values.astype(np.float32))),
            high_mean=high,
            low_mean=low,
        )
        return replace(report, suspicion=found)


@dataclass(frozen=True)
class TagWindow:
    """Have the VLM name what is suspicious in the suspicious window: `rate` frames a second, `most` at the most."""

    model: VLM
    prompt: Prompt
    rate: float
    most: int

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One, about the window."""
        start, stop = suspicious_window(report).highest
        stop = max(start + 1, min(stop, report.video.n_frames))
        frames = sample_frames(start, stop, report.video.fps / self.rate, self.most)
        return (self.prompt.query(report.video, Segment(start, stop, frames, start)),)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its tags."""
        return replace(report, tags=self.prompt.read(answers[0]).description)


@dataclass(frozen=True)
class DropUnusableTags:
    """Forget tags that name nothing: empty, one of `nothing`, or with one of `denials` in them, in any case."""

    nothing: Sequence[str]
    denials: Sequence[str]

    def __call__(self, report: Report) -> Report:
        """The report, with its tags or without."""
        said = report.tags.strip(" []").lower()
        named = bool(said) and said not in self.nothing and not any(denial in said for denial in self.denials)
        return report if named else replace(report, tags="")


@dataclass(frozen=True)
class UncertaintyGate:
    """Doubt a video whose highest mean lies within `margin` of the middle; margin None: within its scores' variance.

    As the authors store them, the mean is rounded to 3 digits and the standard deviation to 5.
    """

    margin: float | None

    def __call__(self, report: Report) -> Report:
        """The report, gated or not."""
        found = suspicious_window(report)
        margin = round(found.std, 5) ** 2 if self.margin is None else self.margin
        return replace(report, gated=0.5 - margin <= round(found.highest_mean, 3) <= 0.5 + margin)


@dataclass(frozen=True)
class RerateCaptions:
    """Have the LLM rate a doubtful video again, told of the tags, if there are any.

    `prior` words what the data set's anomalies are (URF: "or criminal"); of the tags `most_words` are given.
    Ratings that cannot be read are interpolated, `digits` kept.
    """

    model: LLM
    prompt: Prompt
    prior: str
    most_words: int
    digits: int

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One a segment of a doubtful video with tags, none of the others."""
        if not (report.gated and report.tags):
            return ()
        tags = " ".join(report.tags.split()[: self.most_words])
        return of_captions(self.prompt, report, tags=tags, prior=self.prior)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with its second ratings and their track, or as it was where nothing was asked or could be read."""
        ratings = [self.prompt.read(answer).score for answer in answers]
        if not ratings:
            return report
        again = rated(report, ratings)
        if all(map(math.isnan, ratings)):
            return replace(report, answers=again.answers, unparsed=again.unparsed)
        return InterpolateScores(self.digits)(again)


def suspicious_window(report: Report) -> SuspiciousWindow:
    """The suspicion of a report.

    Raises:
        VaaError: no stage has looked for it yet.
    """
    if report.suspicion is None:
        raise VaaError("A stage that needs the suspicious window comes before the one that finds it: see `stages`.")
    return report.suspicion


def _windows(starts: NDArray[np.int64], length: int) -> list[slice]:
    """For each value as the first, those that start within `length` frames from it; fewer at the end."""
    ends = np.searchsorted(starts, starts + length, side="left")
    return [slice(first, int(end)) for first, end in enumerate(ends)]


def _mean(values: NDArray[np.float64]) -> float:
    """The mean with its sum taken from left to right: pairwise sums break ties between windows differently."""
    return float(np.cumsum(values)[-1] / len(values))


def _groups(values: NDArray[np.float64], best: float, worst: float) -> tuple[float, float]:
    """Means, in float32 as the authors', of the values nearer `best` (ties too) and of those nearer `worst`."""
    held = values.astype(np.float32)
    high = np.abs(held - np.float32(best)) <= np.abs(held - np.float32(worst))
    near_best, near_worst = (part if len(part) else held for part in (held[high], held[~high]))
    return float(near_best.mean()), float(near_worst.mean())
