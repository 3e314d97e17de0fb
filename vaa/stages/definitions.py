"""Several definitions of one video: each has a report of its own while the stages run; then they are combined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace

import numpy as np

from vaa.errors import ConfigError
from vaa.models.base import ReplaysAnswers
from vaa.prompts.template import Prompt
from vaa.stages.base import ModelStage, Stage
from vaa.types import Definition, DefinitionTrack, Report, Response, ScoreTrack


def combine(reports: Sequence[Report]) -> Report:
    """One report from those of all definitions of a video, after the same stage.

    The scores are the highest of all definitions at each time, and each segment has the response of the definition with
    the highest score there (of equals, the first). Tags, boxes and summary are those of the definition with the highest
    score in the video; unparsed answers are added up.
    """
    best = max(reports, key=lambda report: _highest(report.track))
    names = [report.definition.name if report.definition else "" for report in reports]
    tracks = [report.track for report in reports if report.track is not None]
    complete = len(tracks) == len(reports)
    return replace(
        best,
        definition=None,
        responses=_responses(reports, names),
        track=ScoreTrack(np.max([track.values for track in tracks], axis=0), tracks[0].starts) if complete else None,
        definition_tracks=tuple(map(DefinitionTrack, names, tracks)) if complete else (),
        n_answers=sum(report.n_answers for report in reports),
        n_unparsed=sum(report.n_unparsed for report in reports),
        first_unparsed=next((report.first_unparsed for report in reports if report.first_unparsed), ""),
    )


def _responses(reports: Sequence[Report], names: Sequence[str]) -> tuple[Response, ...]:
    """For each segment that of the definition with the highest score, with its name; empty where a report has none."""
    if not all(report.responses for report in reports):
        return ()
    chosen = []
    for candidates in zip(*(report.responses for report in reports), strict=True):
        k = max(range(len(candidates)), key=lambda k: (_number(candidates[k].score), -k))
        described = (response.description for response in (candidates[k], *candidates) if response.description)
        chosen.append(replace(candidates[k], definition=names[k], description=next(described, "")))
    return tuple(chosen)


def _highest(track: ScoreTrack | None) -> float:
    return float(track.values.max(initial=-math.inf)) if track is not None else -math.inf


def _number(score: float) -> float:
    return -math.inf if math.isnan(score) else score


def check_definitions(stages: Mapping[str, Stage], definitions: Sequence[Definition]) -> None:
    """Check that definitions change what the models of a method are asked.

    Raises:
        ConfigError: no prompt of the method takes a definition, or a model gives released answers whatever it is asked.
    """
    if not definitions:
        return
    asked = [stage for stage in stages.values() if isinstance(stage, ModelStage) and _takes_definition(stage)]
    if not asked:
        raise ConfigError(
            "watch_for, ignore: no stage of this method asks a model a question with a definition in it. Choose "
            "another method, such as method=watch."
        )
    replayed = [stage.model for stage in asked if isinstance(stage.model, ReplaysAnswers)]
    if replayed:
        raise ConfigError(
            "watch_for, ignore: recorded answers are those to the authors' questions. Choose a model that answers, "
            "such as vlm=internvl, or leave them out."
        )


def _takes_definition(stage: ModelStage) -> bool:
    values: list[object] = [getattr(stage, field.name) for field in fields(stage)] if is_dataclass(stage) else []
    return any(isinstance(value, Prompt) and value.takes_definition for value in values)
