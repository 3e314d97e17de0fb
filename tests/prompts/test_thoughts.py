from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaa.prompts import parsers
from vaa.prompts.template import Prompt
from vaa.prompts.thoughts import SplitAnswer, is_mark, opened_thoughts, split_thoughts

PAIRS = [
    ("<think>", "</think>"),
    ("<think>\n", "\n</think>\n\n"),
    ("< think >", "< /think >"),
    ("<THINK>", "</THINK>"),
    ('<think duration="3">', "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<analysis>", "</analysis>"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<think:opensource>", "</think:opensource>"),
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("[unused16]", "[unused17]"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final <|constrain|>json<|message|>"),
    ("analysisWe think. ", "assistantfinal"),
    ("Here is my thought process:", "Here is my response:"),
    ("Here's my thought process:", "Here's my response:"),
]
ANSWERS: list[tuple[Any, str, str]] = [
    (parsers.VerdictParser(), "```\nNormal scenes.\nA street.\n```", "```\nAnomalous scenes.\nTwo men fight.\n```"),
    (parsers.CaptionParser(), "The prompt asks for a caption.", "Two men fight."),
    (parsers.RatingParser(), "A calm street would be [0.0].", "[0.9]"),
    (parsers.JudgeScoreParser(), "Bad texts get {'score': 0.1}.", "{'score': 0.8}"),
    (parsers.YesNoParser(), "No, yes, no.", "Yes."),
    (parsers.LastLineParser(), "A calm street.", "Here it is:\nA fight."),
    (parsers.ZeroParser(), "So far it is [0].", "Yes, a fight. [1]"),
    (parsers.TagsParser(), "For example ['a dog'].", "['a fight']"),
    (parsers.BoxesParser(), "[] if there is none", '[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.5}]'),
]


def prompt(parser: Any) -> Prompt:
    return Prompt(
        purpose="any",
        system="",
        text="$frames",
        definition_text=None,
        file=None,
        system_file=None,
        placeholders=None,
        max_new_tokens=8,
        parser=parser,
    )


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
@pytest.mark.parametrize(("parser", "thought", "answer"), ANSWERS, ids=lambda value: type(value).__name__)
def test_no_parser_reads_thoughts(opening: str, closing: str, parser: Any, thought: str, answer: str) -> None:
    expected = parser(answer)
    raw = opening + thought + closing + answer
    for text in (raw, parsers.cut_at_stop_pattern(raw + " And so on.", parser.stop_pattern)):
        response = prompt(parser).parse(text)
        assert response.score == pytest.approx(expected.score, nan_ok=True)
        assert thought in response.thoughts
        assert thought not in response.text + response.description
        if parser.stop_pattern:
            assert (response.text, response.description) == (expected.text, expected.description)


@pytest.mark.parametrize("closing", sorted({closing for opening, closing in PAIRS if "Here" not in opening}))
@pytest.mark.parametrize(("parser", "thought", "answer"), ANSWERS, ids=lambda value: type(value).__name__)
def test_the_opening_mark_may_be_absent(closing: str, parser: Any, thought: str, answer: str) -> None:
    response = prompt(parser).parse(parsers.cut_at_stop_pattern(thought + closing + answer, parser.stop_pattern))
    assert response.score == pytest.approx(parser(answer).score, nan_ok=True)
    assert response.description == parser(answer).description


@pytest.mark.parametrize("opening", sorted({opening for opening, _ in PAIRS}))
@pytest.mark.parametrize(("parser", "thought", "_answer"), ANSWERS, ids=lambda value: type(value).__name__)
def test_thoughts_without_an_end_are_not_parsed(opening: str, parser: Any, thought: str, _answer: str) -> None:
    raw = opening + thought
    assert parsers.cut_at_stop_pattern(raw, parser.stop_pattern) == raw
    assert parsers.is_complete(raw, parser.stop_pattern or "x") is False
    response = prompt(parser).parse(raw)
    assert math.isnan(response.score)
    assert (response.text, response.description, response.thoughts) == ("", "", raw.strip())
    assert not split_thoughts(raw).finished
    assert parsers.parse_boxes(raw) is None


def test_the_last_of_several_thoughts_counts() -> None:
    assert prompt(parsers.RatingParser()).parse("<think>a</think>[0.1]<think>No.</think>[0.9]").score == 0.9
    assert math.isnan(prompt(parsers.RatingParser()).parse("<think>a</think>[0.1]<think>No, [0.9]").score)


@pytest.mark.parametrize(
    "wrapped",
    [
        "<answer>\nYES\n</answer>",
        "<answer><|begin_of_box|>YES<|end_of_box|></answer>",
        "\n<response>YES</response>\n",
        "<|START_RESPONSE|>YES<|END_RESPONSE|>",
        "<|begin_of_solution|>YES<|end_of_solution|>",
    ],
)
def test_marks_around_the_answer_are_removed(wrapped: str) -> None:
    response = prompt(parsers.YesNoParser()).parse(f"<think>No.</think>{wrapped}")
    assert (response.score, response.text) == (1.0, "YES")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[0.5]",
        "A man thinks.",
        "a < b > c",
        "<image> A dog",
        "analysis of the scene",
        "The final answer.",
        "[THIN]",
    ],
)
def test_other_text_has_no_thoughts(text: str) -> None:
    assert split_thoughts(text) == SplitAnswer("", text)


@given(st.text(), st.text(), st.sampled_from([closing for _, closing in PAIRS if "my response" not in closing]))
def test_thoughts_and_text_make_up_the_answer(before: str, after: str, closing: str) -> None:
    split = split_thoughts(before + closing + after)
    assert (split.thoughts + split.text).startswith(before + closing)
    assert split_thoughts(split.text).text == split.text or not split.finished


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>\n"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("[INST]...[/INST][THINK]", "[THINK]"),
        ("Explain <think> please.<|im_start|>assistant\n", ""),
        ("analysisA", ""),
        ("Here is my thought process:", ""),
    ],
)
def test_a_prompt_may_open_the_thoughts(text: str, mark: str) -> None:
    assert opened_thoughts(text) == mark


def test_special_tokens_that_delimit_thoughts() -> None:
    assert all(map(is_mark, ["[THINK]", "[/THINK]", "<|channel|>", "<|message|>", "<think>", "<|END_THINKING|>"]))
    assert not any(map(is_mark, ["<s>", "</s>", "<|im_end|>", "<|end|>", "<image>", "[INST]"]))


def test_every_parser_states_its_form() -> None:
    assert len({parser.form for parser, *_ in ANSWERS}) == len(ANSWERS)
    assert Path(parsers.__file__).read_text().count("    form: ClassVar") == len(ANSWERS)
