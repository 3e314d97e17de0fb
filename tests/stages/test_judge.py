from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from making import UnusedModel

from vaa.prompts.parsers import JudgeScoreParser
from vaa.prompts.template import Prompt
from vaa.stages.base import ModelStage
from vaa.stages.judge import JudgeSummary
from vaa.types import GroundTruth, Judgement, Report, Video

CONF = Path(__file__).parents[2] / "conf"
REPORT = Report(
    Video("v", Path("v.mp4"), 50, 30.0),
    summary="A man fights for $5.",
    truth=GroundTruth((), "Fighting", text="Two men fight."),
    n_answers=4,
    n_unparsed=1,
)


def prompt(purpose: str) -> Prompt:
    return Prompt(
        purpose=purpose,
        system="Mark it.",
        text="Right: $reference\nSaid: $description",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=16,
        parser=JudgeScoreParser(),
    )


JUDGE = JudgeSummary(
    model=UnusedModel(),
    reasonability=prompt("reasonability"),
    detail=prompt("detail"),
    consistency=prompt("consistency"),
)


def test_three_queries_per_video_contain_both_texts_and_no_frames() -> None:
    queries = JUDGE.queries(REPORT)
    assert [query.purpose for query in queries] == ["reasonability", "detail", "consistency"]
    assert {query.text for query in queries} == {"Right: Two men fight.\nSaid: A man fights for $5."}
    assert {query.frames for query in queries} == {()}
    assert isinstance(JUDGE, ModelStage)


@pytest.mark.parametrize(
    "report",
    [
        replace(REPORT, truth=None),
        replace(REPORT, truth=GroundTruth((), "Fighting")),
        replace(REPORT, truth=GroundTruth((), "Fighting", text=" ")),
        replace(REPORT, summary=" "),
    ],
)
def test_without_a_reference_or_a_summary_there_are_no_queries(report: Report) -> None:
    assert JUDGE.queries(report) == ()
    assert JUDGE.absorb(report, ()) is report


def test_marks_become_a_judgement_and_unparsed_ones_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "vaa"):
        report = JUDGE.absorb(REPORT, ["{'score': 0.5}", "Very good!", '{"score": 1}'])
    assert report.judgement is not None
    assert (report.judgement.reasonability, report.judgement.consistency) == (0.5, 1.0)
    assert math.isnan(report.judgement.detail)
    assert (report.n_answers, report.n_unparsed) == (4 + 3, 1 + 1)
    (message,) = (record.getMessage() for record in caplog.records)
    assert "Very good!" in message


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("{'score': 0.7}", 0.7),
        ('{"score": 0}', 0.0),
        ("Sure.\n```json\n{\n  'score': 1.0\n}\n```", 1.0),
        ("The form is {'score': x}. Mine: {'score': 0.3}", 0.3),
        ("{'score': '0.4', 'why': 'short'}", 0.4),
        ("{'score': 1.2}", None),
        ("{'score': -0.1}", None),
        ("{'score': nan}", None),
        ('{"score": NaN}', None),
        ('{"score": Infinity}', None),
        ("{'score': True}", None),
        ("{'score': None}", None),
        ("{'mark': 0.5}", None),
        ("{'score'}", None),
        ("score: 0.5", None),
        ("{'score': 0.5", None),
        ("", None),
        ("{'score': " + "9" * 5000 + "}", None),
        ("{'score': " + "(" * 500 + "}", None),
        ("{'score': __import__('os').getpid()}", None),
    ],
)
def test_a_mark_is_parsed_as_data_or_is_nan(text: str, score: float | None) -> None:
    response = JudgeScoreParser()(text)
    assert math.isnan(response.score) if score is None else response.score == score
    assert response.description == ""


def test_the_judges_prompts_fit_the_stage() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["method=urf", "+prompt@judge=judge"])
    prompts = instantiate(config.judge, _convert_="all")
    judge = JudgeSummary(model=UnusedModel(), **prompts)
    queries = judge.queries(REPORT)
    assert [query.purpose for query in queries] == list(prompts)
    for query in queries:
        assert "Two men fight." in query.text
        assert "A man fights for $5." in query.text
        assert "{'score': x}" in query.system
    report = judge.absorb(REPORT, ["{'score': 0}"] * 3)
    assert report.judgement == Judgement(0.0, 0.0, 0.0)
