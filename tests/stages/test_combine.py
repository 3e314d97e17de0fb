from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from making import UnusedModel, recorded_model

from vaa.errors import ConfigError
from vaa.prompts.parsers import YesNoParser
from vaa.prompts.template import Prompt
from vaa.stages.definitions import check_definitions, combine
from vaa.stages.watch import AskSegments
from vaa.types import Definition, Report, Response, ScoreTrack, Segment, Video

VIDEO = Video("v", Path("v.mp4"), 30, 10.0)
SEGMENTS = tuple(Segment(k, k + 10, (k,), k) for k in (0, 10, 20))
FIRE, FALL = Definition(name="fire", wording="a fire"), Definition(name="fall", wording="a fall")
PROMPT = Prompt(
    purpose="watch",
    system="",
    text="$frames Danger?",
    definition_text="$frames $definition?$exceptions",
    file=None,
    system_file=None,
    placeholders=None,
    max_new_tokens=4,
    parser=YesNoParser(),
)


def report(definition: Definition, scores: list[float], texts: list[str], **fields: object) -> Report:
    responses = tuple(Response("", score, text) for score, text in zip(scores, texts, strict=True))
    track = ScoreTrack(np.nan_to_num(np.array(scores)), np.array([0, 10, 20]))
    return Report(VIDEO, SEGMENTS, responses, track, definition=definition, **fields)  # type: ignore[arg-type]


def test_the_combined_scores_are_the_highest_and_each_segment_has_the_response_of_that_definition() -> None:
    fire = report(FIRE, [0.1, 0.9, math.nan], ["", "flames", ""], n_answers=3, n_unparsed=1, first_unparsed="fire: ?")
    fall = report(FALL, [0.3, 0.2, 0.4], ["seen", "", ""], n_answers=3)
    combined = combine([fire, fall])
    assert combined.track is not None
    assert combined.track.values.tolist() == [0.3, 0.9, 0.4]
    assert [each.name for each in combined.definition_tracks] == ["fire", "fall"]
    assert combined.definition_tracks[1].track.values.tolist() == [0.3, 0.2, 0.4]
    assert [(r.definition, r.score, r.description) for r in combined.responses] == [
        ("fall", 0.3, "seen"),
        ("fire", 0.9, "flames"),
        ("fall", 0.4, ""),
    ]
    assert (combined.definition, combined.n_answers, combined.n_unparsed) == (None, 6, 1)
    assert combined.first_unparsed == "fire: ?"


def test_definitions_need_a_stage_that_asks_and_a_model_that_answers() -> None:
    def ask(model: object) -> AskSegments:
        return AskSegments(model=model, prompt=PROMPT, choices=["YES", "NO"])  # type: ignore[arg-type]

    recorded = recorded_model(".")
    check_definitions({"ask": ask(UnusedModel())}, [FIRE])
    check_definitions({"ask": ask(recorded)}, [])
    with pytest.raises(ConfigError, match="recorded answers"):
        check_definitions({"ask": ask(recorded)}, [FIRE])
    with pytest.raises(ConfigError, match="no stage"):
        check_definitions({}, [FIRE])
