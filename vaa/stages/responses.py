"""Query the model about every segment, and turn the scores of the responses into a track."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vaa.errors import ConfigError, VideoError, require_at_least, require_share
from vaa.models.base import LLM, VLM
from vaa.prompts.template import Prompt
from vaa.stages.base import SEGMENT, WHOLE_VIDEO, Neighbours, Scope
from vaa.types import ChooseQuery, Floats, GenerateQuery, Report, Response, ScoreTrack, Segment

log = logging.getLogger("vaa")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SHOWN = 300  # characters of an answer in a message


def segment_queries(prompt: Prompt, report: Report) -> tuple[GenerateQuery, ...]:
    """One query per segment, with its frames."""
    return tuple(prompt.query(report.video, segment, report.definition) for segment in report.segments)


def caption_queries(prompt: Prompt, report: Report, end: str = ".", **fields: str) -> tuple[GenerateQuery, ...]:
    """One query per segment, without frames; `$caption` is the segment's description, followed by `end`."""
    return tuple(
        prompt.query(report.video, segment, report.definition, caption=caption, **fields)
        for segment, caption in _captions(report, end)
    )


def _captions(report: Report, end: str) -> Iterator[tuple[Segment, str]]:
    """Each segment without its frames, and its description, followed by `end`."""
    for segment, response in zip(report.segments, report.responses, strict=True):
        yield replace(segment, frames=(), times=()), f"{response.description}{end}"


def add_ratings(report: Report, prompt: Prompt, answers: Sequence[str]) -> Report:
    """The report with a new score for each of its responses, NaN where the answer could not be parsed."""
    ratings = [prompt.parse(answer) for answer in answers]
    rated = (
        replace(response, score=rating.score, thoughts=rating.thoughts or response.thoughts)
        for response, rating in zip(report.responses, ratings, strict=True)
    )
    counted = count_answers(report, prompt, answers, [not math.isnan(rating.score) for rating in ratings])
    return replace(counted, responses=tuple(rated))


def count_answers(report: Report, prompt: Prompt, answers: Sequence[str], parsed: Sequence[bool]) -> Report:
    """Count the answers that should have a score; warn of those that could not be parsed and keep the first."""
    n_unparsed, first = len(parsed) - sum(parsed), ""
    if n_unparsed:
        answer = " ".join(answers[list(parsed).index(False)].split())
        shown = answer if len(answer) <= _SHOWN else f"{answer[:_SHOWN]}..."
        first = f"{report.video.id}, {prompt.purpose} prompt: {shown!r}. Expected: {prompt.parser.form}."
        log.warning("%d of %d answers could not be parsed, the first of %s", n_unparsed, len(answers), first)
    return replace(
        report,
        n_answers=report.n_answers + len(answers),
        n_unparsed=report.n_unparsed + n_unparsed,
        first_unparsed=report.first_unparsed or first,
    )


def choice_scores(prompt: Prompt, choices: Sequence[str]) -> Floats:
    """The score that the prompt's parser reads from each choice, shape (choices,).

    Raises:
        ConfigError: there are fewer than two choices, one has no score, or all have the same.
    """
    scores = np.array([prompt.parse(choice).score for choice in choices], dtype=np.float64)
    if len(set(scores.tolist())) < 2 or np.isnan(scores).any():
        raise ConfigError(
            f"choices={list(choices)}: the parser of the {prompt.purpose} prompt must read scores, not all of them "
            "equal, from two or more choices. Change them, or choose the readout for this prompt (conf/readout/)."
        )
    return scores


@dataclass(frozen=True, kw_only=True)
class QuerySegments:
    """Query the VLM about every segment and parse each answer into a response with a score."""

    scope: ClassVar[Scope] = SEGMENT

    model: VLM
    prompt: Prompt

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per segment."""
        return segment_queries(self.prompt, report)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with one response per segment; those without a score count as unparsed."""
        responses = tuple(self.prompt.parse(answer) for answer in answers)
        parsed = [not math.isnan(response.score) for response in responses]
        return replace(count_answers(report, self.prompt, answers, parsed), responses=responses)


@dataclass(frozen=True, kw_only=True)
class CaptionSegments:
    """Have the VLM describe every segment, without a score. `empty` replaces an empty description."""

    scope: ClassVar[Scope] = SEGMENT

    model: VLM
    prompt: Prompt
    empty: str

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per segment."""
        return segment_queries(self.prompt, report)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with one response per segment; its description is the caption and its score NaN."""
        responses = [self.prompt.parse(answer) for answer in answers]
        filled = (replace(r, description=r.description or self.empty) for r in responses)
        return replace(report, responses=tuple(filled))


@dataclass(frozen=True, kw_only=True)
class ChoiceScores:
    """Score every segment by the probabilities of given answers instead of the generated one.

    The score is the expectation of the scores that the prompt's parser reads from the `choices`. Existing descriptions
    stay; a segment that has not been described has an empty one.
    """

    scope: ClassVar[Scope] = SEGMENT

    model: VLM
    prompt: Prompt
    choices: Sequence[str]

    def __post_init__(self) -> None:
        choice_scores(self.prompt, self.choices)

    def queries(self, report: Report) -> tuple[ChooseQuery, ...]:
        """One per segment."""
        return tuple(
            self.prompt.choice_query(report.video, segment, self.choices, report.definition)
            for segment in report.segments
        )

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with the expected scores of its responses."""
        responses = report.responses or (Response("", math.nan, ""),) * len(answers)
        return _expected_scores(replace(report, responses=responses), self.prompt, self.choices, answers)


def _expected_scores(report: Report, prompt: Prompt, choices: Sequence[str], answers: Sequence[Floats]) -> Report:
    """The report with expected scores: probabilities (choices,) @ choice scores (choices,)."""
    scores = choice_scores(prompt, choices)
    scored = (replace(old, score=float(p @ scores)) for old, p in zip(report.responses, answers, strict=True))
    return replace(report, responses=tuple(scored))


@dataclass(frozen=True, kw_only=True)
class RateCaptions:
    """Have the LLM rate every segment's description."""

    scope: ClassVar[Scope] = SEGMENT

    model: LLM
    prompt: Prompt

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One per segment, without frames."""
        return caption_queries(self.prompt, report)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the ratings as scores of its responses, NaN where they could not be parsed."""
        return add_ratings(report, self.prompt, answers)


@dataclass(frozen=True, kw_only=True)
class ChoiceRatings:
    """Rate every segment's description by the LLM's probabilities of given answers; nothing is generated.

    The rating is the expectation of the scores that the prompt's parser reads from the `choices`. A small model rates
    short texts better than long ones: of a description only the first `sentences` are given; None: all of it.
    """

    scope: ClassVar[Scope] = SEGMENT

    model: LLM
    prompt: Prompt
    choices: Sequence[str]
    sentences: int | None

    def __post_init__(self) -> None:
        choice_scores(self.prompt, self.choices)
        require_at_least(1, sentences=self.sentences)

    def queries(self, report: Report) -> tuple[ChooseQuery, ...]:
        """One per segment, without frames; `$caption` is the beginning of the segment's description."""
        return tuple(
            self.prompt.choice_query(
                report.video,
                segment,
                self.choices,
                report.definition,
                caption=" ".join(_SENTENCE_END.split(caption)[: self.sentences]),
            )
            for segment, caption in _captions(report, end="")
        )

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with the ratings as scores of its responses."""
        return _expected_scores(report, self.prompt, self.choices, answers)


@dataclass(frozen=True, kw_only=True)
class ResponseScores:
    """The responses' scores as a track; `missing` replaces those that could not be parsed."""

    scope: ClassVar[Scope] = SEGMENT

    missing: float

    def __post_init__(self) -> None:
        require_share(missing=self.missing)

    def __call__(self, report: Report) -> Report:
        """The report with its track, one value per segment."""
        values, starts = _scores(report)
        return replace(report, track=ScoreTrack(np.where(np.isnan(values), self.missing, values), starts))


@dataclass(frozen=True, kw_only=True)
class InterpolateScores:
    """The responses' scores as a track; those that could not be parsed are interpolated (URF).

    Interpolated scores are rounded to `digits` digits; None: not rounded.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    digits: int | None

    def __post_init__(self) -> None:
        require_at_least(0, digits=self.digits)

    def causal(self) -> HoldLastScore:
        """Interpolation needs later scores; a causal run repeats the last one."""
        return HoldLastScore()

    def __call__(self, report: Report) -> Report:
        """The report with its track, one value per segment.

        Raises:
            VideoError: no score could be parsed.
        """
        values, starts = _scores(report)
        parsed = ~np.isnan(values)
        if not parsed.any():
            first = f"; the first answer of {report.first_unparsed}" if report.first_unparsed else ""
            raise VideoError(f"none of its scores could be parsed{first}")
        interpolated = np.interp(starts, starts[parsed], values[parsed])
        if self.digits is not None:
            interpolated = np.round(interpolated, self.digits)
        return replace(report, track=ScoreTrack(np.where(parsed, values, interpolated), starts))


@dataclass(frozen=True, kw_only=True)
class HoldLastScore:
    """The responses' scores as a track; one that could not be parsed repeats the last one, 0 before the first."""

    scope: ClassVar[Scope] = Neighbours(None)

    def __call__(self, report: Report) -> Report:
        """The report with its track, one value per segment."""
        values, starts = _scores(report)
        last = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
        return replace(report, track=ScoreTrack(np.where(last < 0, 0.0, values[last]), starts))


def _scores(report: Report) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The responses' scores and the frames they belong to, both of shape (segments,)."""
    values = np.array([response.score for response in report.responses], dtype=np.float64)
    return values, np.array([segment.at for segment in report.segments], dtype=np.int64)
