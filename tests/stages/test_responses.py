from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from making import UnusedModel

from vaa.errors import ConfigError
from vaa.prompts.parsers import RatingParser, VerdictParser
from vaa.prompts.template import Prompt
from vaa.stages.responses import ChoiceRatings, ChoiceScores, QuerySegments, ResponseScores
from vaa.types import Report, Response, Segment, Video

PROMPT = Prompt(
    purpose="verdict",
    system="",
    text="$frames\nWhat happens?",
    definition_text=None,
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=16,
    parser=VerdictParser(),
)
REPORT = Report(
    Video("v", Path("v.mp4"), 50, 30.0),
    tuple(Segment(k, k + 10, (k, k + 9), k) for k in (0, 10, 20)),
    n_answers=4,
    n_unparsed=2,
)
ANSWERS = ["Anomalous scenes. Fire.", "I cannot tell.", "Nor can I."]


def test_there_is_one_query_per_segment() -> None:
    stage = QuerySegments(model=UnusedModel(), prompt=PROMPT)
    queries = stage.queries(REPORT)
    assert [(q.frames, q.at, q.video) for q in queries] == [((k, k + 9), k, REPORT.video) for k in (0, 10, 20)]


def test_answers_become_responses_and_unparsed_ones_are_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "vaa"):
        report = QuerySegments(model=UnusedModel(), prompt=PROMPT).absorb(REPORT, ANSWERS)
    assert [r.description for r in report.responses] == ["Fire.", "I cannot tell.", "Nor can I."]
    assert report.responses[0].score == 1.0
    assert math.isnan(report.responses[1].score)
    assert (report.n_answers, report.n_unparsed) == (4 + 3, 2 + 2)
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith("2 of 3 answers could not be parsed")
    assert report.first_unparsed in message
    for part in ("v, verdict prompt", "I cannot tell.", VerdictParser.form):
        assert part in report.first_unparsed


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_unparsed_scores_are_replaced_by_missing(missing: float) -> None:
    responses = tuple(Response("", score, "") for score in (1.0, math.nan, 0.0))
    track = ResponseScores(missing=missing)(Report(REPORT.video, REPORT.segments, responses)).track
    assert track is not None
    assert track.values.tolist() == [1.0, missing, 0.0]
    assert track.starts.tolist() == [0, 10, 20]


BAD, GOOD = "Anomalous scenes.", "Normal scenes."


def test_a_readout_queries_probabilities_and_keeps_the_descriptions() -> None:
    stage = ChoiceScores(model=UnusedModel(), prompt=PROMPT, choices=[BAD, GOOD])
    queries = stage.queries(REPORT)
    assert [(query.at, query.choices) for query in queries] == [(k, (BAD, GOOD)) for k in (0, 10, 20)]
    described = replace(REPORT, responses=tuple(Response(text, math.nan, text) for text in "abc"))
    answers = [np.array([p, 1 - p]) for p in (0.9, 0.25, 0.0)]
    scored = stage.absorb(described, answers).responses
    assert [(response.score, response.description) for response in scored] == [(0.9, "a"), (0.25, "b"), (0.0, "c")]
    assert [response.score for response in stage.absorb(REPORT, answers).responses] == [0.9, 0.25, 0.0]


def test_descriptions_are_rated_by_the_probabilities_of_answers() -> None:
    prompt = replace(PROMPT, text="Scene: $caption Normal?")
    stage = ChoiceRatings(model=UnusedModel(), prompt=prompt, choices=[BAD, GOOD], sentences=1)
    described = replace(
        REPORT, responses=tuple(Response("", math.nan, text) for text in ("a", "b! More.", "c 1.5 c.  d."))
    )
    queries = stage.queries(described)
    assert [query.text for query in queries] == [f"Scene: {text} Normal?" for text in ("a", "b!", "c 1.5 c.")]
    assert replace(stage, sentences=None).queries(described)[1].text == "Scene: b! More. Normal?"
    assert {(query.frames, query.choices) for query in queries} == {((), (BAD, GOOD))}
    scored = stage.absorb(described, [np.array([p, 1 - p]) for p in (0.9, 0.25, 0.0)]).responses
    assert [(response.score, response.description) for response in scored] == [
        (0.9, "a"),
        (0.25, "b! More."),
        (0.0, "c 1.5 c.  d."),
    ]


def test_the_score_is_the_expectation_over_the_choices() -> None:
    numbers = Prompt(
        purpose="score",
        system="",
        text="$frames",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=8,
        parser=RatingParser(),
    )
    stage = ChoiceScores(model=UnusedModel(), prompt=numbers, choices=["[0.0]", "[0.2]", "[1.0]"])
    scored = stage.absorb(REPORT, [np.array([0.5, 0.25, 0.25])] * 3).responses
    assert [response.score for response in scored] == [0.25 * 0.2 + 0.25] * 3


@pytest.mark.parametrize("choices", [["[1]", "[0]"], [BAD, "perhaps"], [BAD]])
def test_choices_that_the_parser_cannot_score_are_refused(choices: list[str]) -> None:
    with pytest.raises(ConfigError, match="the verdict prompt"):
        ChoiceScores(model=UnusedModel(), prompt=PROMPT, choices=choices)
