from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vaa.errors import ConfigError
from vaa.prompts.template import Prompt
from vaa.types import Definition, GenerateQuery, Response, Segment, Video

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
    system_file=None,
    placeholders=None,
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


def test_a_text_file_replaces_the_system_message(tmp_path: Path) -> None:
    for name, text in (("one.txt", "Rate it: $tags."), ("two.txt", "Give [x].")):
        (tmp_path / name).write_text(text)
    prompt = replace(PROMPT, text="$caption", system="Ours.")
    one = replace(prompt, system_file=str(tmp_path / "one.txt"))
    assert one.query(VIDEO, SEGMENT, caption="A man", tags="theft").system == "Rate it: theft."
    both = replace(prompt, system_file=[str(tmp_path / "one.txt"), str(tmp_path / "two.txt")])
    query = both.query(VIDEO, SEGMENT, caption="A man", tags="theft")
    assert (query.text, query.system) == ("A man", "Rate it: theft. Give [x].")


@pytest.mark.parametrize("key", ["file", "system_file"])
def test_a_missing_file_is_named_with_its_key(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"prompt\.{key}=nowhere\.txt"):
        replace(PROMPT, **{key: "nowhere.txt"}).query(VIDEO, SEGMENT)


def test_the_placeholders_of_a_foreign_file_are_replaced_as_the_authors_programs_do(tmp_path: Path) -> None:
    """By `str.replace` with a line for each frame; all else is text, whatever dollar signs it has."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        pieces = ["$Data", "[$Data]", "$", "$$", "${x}", "$frames", "costs 5 $", "\n", "Größe ", "%s {0} "]
        text = "".join(rng.choice(pieces, 12)) + "[$Data]"
        (tmp_path / "theirs.txt").write_text(text, encoding="utf-8")
        prompt = replace(PROMPT, file=str(tmp_path / "theirs.txt"), placeholders={"$Data": "$frames\n"})
        lines = "".join(f"Frame{k + 1}: <image>\n" for k in range(3))
        assert prompt.query(VIDEO, SEGMENT).text == text.replace("$Data", lines)


def test_the_system_file_is_foreign_too_and_the_longer_placeholder_wins(tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("{tags} or {tags_only}, $5")
    prompt = replace(
        PROMPT,
        system_file=str(tmp_path / "system.txt"),
        placeholders={"{tags}": "$tags", "{tags_only}": "nothing but $tags"},
    )
    query = prompt.query(VIDEO, SEGMENT, tags="theft")
    assert query.system == "theft or nothing but theft, $5"
    assert query.text.startswith("Look:\nFrame1")  # vaa's own text has vaa's placeholders


def test_without_placeholders_a_foreign_file_is_all_text(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("What is $this? $")
    prompt = replace(PROMPT, file=str(tmp_path / "theirs.txt"), placeholders={})
    assert prompt.query(VIDEO, SEGMENT).text == "What is $this? $"


@pytest.mark.parametrize(
    ("placeholders", "message"),
    [
        ({"$data": "$frames"}, r"'\$data' is not in .*theirs\.txt"),
        ({"$Data": "$images"}, r"\$images; available here: \$frames"),
        ({"": "$frames"}, "empty"),
    ],
)
def test_placeholders_that_cannot_be_replaced_are_refused(
    placeholders: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "theirs.txt").write_text("[$Data]")
    with pytest.raises(ConfigError, match=message):
        replace(PROMPT, file=str(tmp_path / "theirs.txt"), placeholders=placeholders).query(VIDEO, SEGMENT)


def test_placeholders_without_a_file_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"prompt\.file"):
        replace(PROMPT, placeholders={"$Data": "$frames"})


def test_a_single_dollar_sign_in_a_file_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("It costs 5 $")
    with pytest.raises(ConfigError, match=r"prompt\.placeholders"):
        replace(PROMPT, file=str(tmp_path / "theirs.txt")).query(VIDEO, SEGMENT)


def test_placeholders_are_written_on_the_command_line() -> None:
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        config = compose("config", ["method=corevad", "prompt.file=theirs.txt", "prompt.placeholders={$Data: $frames}"])
    assert instantiate(config.prompt, _convert_="all").placeholders == {"$Data": "$frames"}


def test_a_definition_needs_its_place_in_a_foreign_file(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("[$Data]")
    prompt = replace(PROMPT, definition_text="$frames $definition", file=str(tmp_path / "theirs.txt"))
    fire = Definition(name="fire", wording="a fire")
    with pytest.raises(ConfigError, match=r"\$definition"):
        replace(prompt, placeholders={"$Data": "$frames"}).query(VIDEO, SEGMENT, fire)
    both = replace(prompt, placeholders={"[$Data]": "$frames\nLook for $definition.$exceptions"})
    assert both.query(VIDEO, SEGMENT, fire).text.endswith("Look for a fire.")
