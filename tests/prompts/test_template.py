from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from vaa.errors import ConfigError
from vaa.prompts.template import Prompt
from vaa.types import GenerateQuery, Response, Segment, Video

VIDEO = Video("v", Path("v.mp4"), 50, 30.0)
SEGMENT = Segment(0, 30, (0, 10, 29), 5)


@dataclass(frozen=True)
class UpperParser:
    stop_pattern: ClassVar[str] = r"!"

    def __call__(self, text: str) -> Response:
        return Response(text, 0.5, text.upper())


PROMPT = Prompt(
    purpose="verdict", system="", text="Look:\n$frames\nWell?", file=None, max_new_tokens=16, parser=UpperParser()
)


def test_the_question_lists_the_frames_where_the_text_says() -> None:
    assert PROMPT.query(VIDEO, SEGMENT) == GenerateQuery(
        purpose="verdict",
        video=VIDEO,
        at=5,
        frames=(0, 10, 29),
        text="Look:\nFrame1: <image>\nFrame2: <image>\nFrame3: <image>\nWell?",
        system="",
        max_new_tokens=16,
        stop_pattern="!",
    )


def test_a_choice_query_has_the_same_messages() -> None:
    query = PROMPT.choice_query(VIDEO, SEGMENT, ["yes", "no"])
    text = PROMPT.query(VIDEO, SEGMENT)
    assert (query.purpose, query.video, query.at, query.frames) == (text.purpose, text.video, text.at, text.frames)
    assert (query.text, query.system, query.choices) == (text.text, text.system, ("yes", "no"))


def test_fields_fill_text_and_system() -> None:
    prompt = replace(PROMPT, text="$caption costs $$5", system="Tags: $tags, ${tags}s")
    query = prompt.query(VIDEO, SEGMENT, caption="A man", tags="theft")
    assert (query.text, query.system) == ("A man costs $5", "Tags: theft, thefts")


def test_what_a_field_says_is_not_filled_again() -> None:
    assert replace(PROMPT, text="$caption").query(VIDEO, SEGMENT, caption="$frames").text == "$frames"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"text": "$caption and $frames"}, r"\$caption; available here: \$frames"),
        ({"system": "$frames"}, r"\$frames; available here: none"),
        ({"text": "costs 5 $"}, r"single '\$'"),
        ({"file": "nowhere.txt"}, r"prompt\.file=nowhere\.txt"),
    ],
)
def test_a_prompt_that_cannot_be_asked_says_what_is_wrong(fields: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(PROMPT, **fields).query(VIDEO, SEGMENT)


def test_a_prompt_that_leaves_out_what_it_is_given_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    prompt = replace(PROMPT, purpose="said once", text="What is it?", system="$tags")
    for _ in range(2):
        prompt.query(VIDEO, SEGMENT, caption="A man", tags="theft")
    said = [record.getMessage() for record in caplog.records]
    assert said == ["The said once prompt does not contain $caption: the model does not get it."]


def test_a_text_file_takes_the_place_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Größe? $frames", encoding="utf-8")
    assert replace(PROMPT, file=str(file)).query(VIDEO, SEGMENT).text.startswith("Größe? Frame1: <image>")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ConfigError, match=r"mine\.txt"):
        replace(PROMPT, file=str(tmp_path / "mine.txt")).query(VIDEO, SEGMENT)


def test_the_answer_is_read_by_the_prompts_reader() -> None:
    assert PROMPT.parse("fire").description == "FIRE"
