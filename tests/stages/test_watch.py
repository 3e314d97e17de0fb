from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from making import UnusedModel

from vaa.prompts.parsers import CaptionParser, YesNoParser
from vaa.prompts.template import Prompt
from vaa.stages.watch import AskSegments, DescribeSegments
from vaa.types import ChooseQuery, Definition, GenerateQuery, Report, Response, Segment, Video

SEGMENTS = tuple(Segment(k, k + 10, (k, k + 9), k) for k in (0, 10, 20))
REPORT = Report(Video("v", Path("v.mp4"), 30, 10.0), SEGMENTS)
PROMPT = Prompt(
    purpose="watch",
    system="",
    text="$frames Danger? YES or NO.",
    definition_text="$frames Is this seen: $definition?$exceptions YES or NO.",
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=4,
    parser=YesNoParser(),
)
CAPTION = replace(PROMPT, purpose="caption", text="$frames Describe.", definition_text=None, parser=CaptionParser())


class ModelWithProbabilities(UnusedModel):
    gives_probabilities: ClassVar[bool] = True


def test_the_score_is_the_probability_of_yes_where_the_model_gives_it() -> None:
    stage = AskSegments(model=ModelWithProbabilities(), prompt=PROMPT, choices=["YES", "NO"])
    assert all(isinstance(query, ChooseQuery) for query in stage.queries(REPORT))
    scored = stage.absorb(REPORT, [np.array([p, 1 - p]) for p in (0.9, 0.25, 0.0)])
    assert [response.score for response in scored.responses] == [0.9, 0.25, 0.0]


def test_without_probabilities_it_is_read_from_the_written_answer() -> None:
    stage = AskSegments(model=UnusedModel(), prompt=PROMPT, choices=["YES", "NO"])
    assert all(isinstance(query, GenerateQuery) for query in stage.queries(REPORT))
    scored = stage.absorb(REPORT, ["Yes, a fire.", "NO", "perhaps"])
    assert [response.score for response in scored.responses[:2]] == [1.0, 0.0]
    assert math.isnan(scored.responses[2].score)
    assert scored.n_unparsed == 1


def test_a_definition_is_in_the_question() -> None:
    stage = AskSegments(model=ModelWithProbabilities(), prompt=PROMPT, choices=["YES", "NO"])
    asked = replace(REPORT, definition=Definition(name="fall", wording="a fall", exceptions=("yoga", "a jump")))
    text = stage.queries(asked)[0].text
    assert text.endswith("Is this seen: a fall? This does not count: yoga, a jump. YES or NO.")
    assert stage.queries(REPORT)[0].text.endswith("Danger? YES or NO.")


@pytest.mark.parametrize(("threshold", "found"), [(0.5, [0]), (0.25, [0, 1]), (0.0, [0, 1])])
def test_only_what_is_found_is_described(threshold: float, found: list[int]) -> None:
    responses = tuple(Response("", score, "") for score in (0.9, 0.25, math.nan))
    report = replace(REPORT, responses=responses, definition=Definition(name="fire", wording="a fire"))
    stage = DescribeSegments(model=UnusedModel(), prompt=CAPTION, threshold=threshold)
    assert [query.frames for query in stage.queries(report)] == [SEGMENTS[k].frames for k in found]
    described = stage.absorb(report, ["A fire burns."] * len(found))
    assert [bool(response.description) for response in described.responses] == [k in found for k in range(3)]
    assert [r.score for r in described.responses[:2]] == [0.9, 0.25]
