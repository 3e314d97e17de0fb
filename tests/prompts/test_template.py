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
    form: ClassVar[str] = "anything"

    def __call__(self, text: str) -> Response:
        return Response(text, 0.5, text.upper())


PROMPT = Prompt(
    purpose="verdict",
    system="",
    text="Look:\n$frames\nWell?",
    definition_text=None,
    file=None,
    max_new_tokens=16,
    parser=UpperParser(),
)


def test_the_query_lists_the_frames_at_their_placeholder() -> None:
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


def test_placeholders_in_field_values_are_not_filled() -> None:
    assert replace(PROMPT, text="$caption").query(VIDEO, SEGMENT, caption="$frames").text == "$frames"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "$caption and $frames"}, r"\$caption; available here: \$frames"),
        ({"system": "$frames"}, r"\$frames; available here: none"),
        ({"text": "costs 5 $"}, r"single '\$'"),
        ({"file": "nowhere.txt"}, r"prompt\.file=nowhere\.txt"),
    ],
)
def test_an_invalid_prompt_is_a_config_error(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PROMPT, **fields).query(VIDEO, SEGMENT)


def test_unused_fields_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    prompt = replace(PROMPT, purpose="unused", text="What is it?", system="$tags")
    for _ in range(2):
        prompt.query(VIDEO, SEGMENT, caption="A man", tags="theft")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["The unused prompt does not contain $caption: the model does not get it."]


def test_a_text_file_replaces_the_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Größe? $frames", encoding="utf-8")
    assert replace(PROMPT, file=str(file)).query(VIDEO, SEGMENT).text.startswith("Größe? Frame1: <image>")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ConfigError, match=r"mine\.txt"):
        replace(PROMPT, file=str(tmp_path / "mine.txt")).query(VIDEO, SEGMENT)


def test_answers_are_parsed_by_the_prompts_parser() -> None:
    assert PROMPT.parse("fire").description == "FIRE"
