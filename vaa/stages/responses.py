"""Put a prompt to every segment, and make a score track of what was said."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaa.errors import VaaError, VideoError
from vaa.models.base import LLM, VLM
from vaa.prompts.template import Prompt
from vaa.types import ChooseQuery, Floats, GenerateQuery, Report, Response, ScoreTrack

log = logging.getLogger("vaa")


def of_segments(prompt: Prompt, report: Report) -> tuple[GenerateQuery, ...]:
    """The prompt put to every segment, with its frames."""
    return tuple(prompt.query(report.video, segment) for segment in report.segments)


def of_captions(prompt: Prompt, report: Report, **fields: str) -> tuple[GenerateQuery, ...]:
    """The prompt put to every segment's description, as a sentence, without frames."""
    return tuple(
        prompt.query(report.video, replace(segment, frames=()), caption=f"{response.description}.", **fields)
        for segment, response in zip(report.segments, report.responses, strict=True)
    )


def rated(report: Report, ratings: Sequence[float]) -> Report:
    """The report with new scores for its responses; those that are NaN are counted."""
    responses = zip(report.responses, ratings, strict=True)
    read, missed = report.answers + len(ratings), report.unparsed + sum(map(math.isnan, ratings))
    scored = tuple(replace(response, score=rating) for response, rating in responses)
    return replace(report, responses=scored, answers=read, unparsed=missed)


def choice_scores(prompt: Prompt, choices: Sequence[str]) -> Floats:
    """The score that the prompt reads in each of the answers to choose from, shape (choices,).

    Raises:
        VaaError: there are fewer than two, or it reads none in one of them, so that a probability would mean nothing.
    """
    worth = np.array([prompt.read(choice).score for choice in choices], dtype=np.float64)
    if len(choices) < 2 or np.isnan(worth).any():
        raise VaaError(
            f"The {prompt.purpose} prompt is not answered by {list(choices)}: give two answers or more that its reader "
            "understands, or choose the readout that belongs to it (see conf/readout/)."
        )
    return worth


@dataclass(frozen=True)
class QuerySegments:
    """Put the prompt to every segment; each answer is read into a Response, and those that say no score are counted."""

    model: VLM
    prompt: Prompt

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One a segment."""
        return of_segments(self.prompt, report)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with a response a segment."""
        responses = tuple(self.prompt.read(answer) for answer in answers)
        unparsed = [k for k, response in enumerate(responses) if math.isnan(response.score)]
        for k in unparsed[:1]:
            where = f"{report.video.id}, frame {report.segments[k].at}"
            log.warning(
                "%s: %d of %d answers cannot be read, first: %r", where, len(unparsed), len(answers), answers[k][:80]
            )
        read, missed = report.answers + len(answers), report.unparsed + len(unparsed)
        return replace(report, responses=responses, answers=read, unparsed=missed)


@dataclass(frozen=True)
class CaptionSegments:
    """Ask what every segment shows; no score is expected. `empty` stands for an answer that says nothing."""

    model: VLM
    prompt: Prompt
    empty: str

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One a segment."""
        return of_segments(self.prompt, report)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with a response a segment whose description is the caption and whose score is NaN."""
        responses = [self.prompt.read(answer) for answer in answers]
        filled = (replace(r, description=r.description or self.empty) for r in responses)
        return replace(report, responses=tuple(filled))


@dataclass(frozen=True)
class ChoiceScores:
    """Score every segment by the probabilities of the answers it could be given, not by the one that was written.

    The score is the mean of what the prompt reads in each of the `choices`, weighted by their probabilities: of two,
    of which one is read as 1 and one as 0, the probability of the first. What was described stays; a segment nobody was
    asked about yet has an empty description.
    """

    model: VLM
    prompt: Prompt
    choices: Sequence[str]

    def __post_init__(self) -> None:
        choice_scores(self.prompt, self.choices)

    def queries(self, report: Report) -> tuple[ChooseQuery, ...]:
        """One a segment, to be answered by a probability for each choice."""
        return tuple(self.prompt.choice_query(report.video, segment, self.choices) for segment in report.segments)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        """The report with the expected scores as its responses' scores."""
        said = report.responses or (Response("", math.nan, ""),) * len(answers)
        worth = choice_scores(self.prompt, self.choices)
        scored = (replace(old, score=float(p @ worth)) for old, p in zip(said, answers, strict=True))
        return replace(report, responses=tuple(scored))


@dataclass(frozen=True)
class RateCaptions:
    """Have an LLM rate every segment's description."""

    model: LLM
    prompt: Prompt

    def queries(self, report: Report) -> tuple[GenerateQuery, ...]:
        """One a segment, without frames; the caption is given as a sentence."""
        return of_captions(self.prompt, report)

    def absorb(self, report: Report, answers: Sequence[str]) -> Report:
        """The report with the ratings as its responses' scores, NaN where none could be read."""
        return rated(report, [self.prompt.read(answer).score for answer in answers])


@dataclass(frozen=True)
class ResponseScores:
    """The responses' scores as a track; `missing` stands in for a score that could not be read."""

    missing: float

    def __call__(self, report: Report) -> Report:
        """The report with its track, one value a segment."""
        values = np.array([response.score for response in report.responses], dtype=np.float64)
        starts = np.array([segment.at for segment in report.segments], dtype=np.int64)
        return replace(report, track=ScoreTrack(np.where(np.isnan(values), self.missing, values), starts))


@dataclass(frozen=True)
class InterpolateScores:
    """The responses' scores as a track; an unread one is interpolated to `digits` digits (URF)."""

    digits: int

    def __call__(self, report: Report) -> Report:
        """The report with its track, one value a segment.

        Raises:
            VideoError: not one score could be read.
        """
        values = np.array([response.score for response in report.responses], dtype=np.float64)
        starts = np.array([segment.at for segment in report.segments], dtype=np.int64)
        read = ~np.isnan(values)
        if not read.any():
            raise VideoError("not one of its scores could be read")
        drawn = np.round(np.interp(starts, starts[read], values[read]), self.digits)
        return replace(report, track=ScoreTrack(np.where(read, values, drawn), starts))
