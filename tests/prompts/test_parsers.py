from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaa.prompts import parsers


@pytest.mark.parametrize(
    ("text", "score", "description"),
    [
        ("```\nAnomalous scenes.\nTwo people fight.\n```", 1.0, "Two people fight."),
        ("```text\nNormal scenes.\nA car drives at 3.5 m/s.\n```", 0.0, "A car drives at 3.5 m/s."),
        ("Anomalous scenes at 3.5 m/s. A car.", 1.0, "A car."),
        ("anomalous scenes: a fire. It burns.", 1.0, "It burns."),
        ("Anomalous scenes. Normal scenes.", 1.0, "Normal scenes."),
        ("Normal scenes", 0.0, "Normal scenes"),
        ("The scene is normal.", math.nan, "The scene is normal."),
        ("", math.nan, ""),
    ],
)
def test_a_verdict_and_its_description(text: str, score: float, description: str) -> None:
    response = parsers.VerdictParser()(text)
    assert response.score == pytest.approx(score, nan_ok=True)
    assert response.description == description


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("[0.7]", 0.7),
        ("I would say [ 1.0 ] because [0.2]", 1.0),
        ("[x] [0]", 0.0),
        ("[.5]", 0.5),
        ("[1.5]", math.nan),
        ("[-0.3]", math.nan),
        ("[0.1, 0.2]", math.nan),
        ("0.7", math.nan),
        ("[nan]", math.nan),
        ("[0,5]", math.nan),
        ("[1e-1]", math.nan),
        ("[[0.5]]", 0.5),
        ("[0.2] or rather [0.9]", 0.2),
        ("", math.nan),
    ],
)
def test_a_rating_is_the_first_bracketed_number(text: str, score: float) -> None:
    assert parsers.RatingParser()(text).score == pytest.approx(score, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "score"), [("YES", 1.0), (" no.", 0.0), ('"Yes"', 1.0), ("Nothing", math.nan), ("I say yes", math.nan)]
)
def test_yes_or_no(text: str, score: float) -> None:
    assert parsers.YesNoParser()(text).score == pytest.approx(score, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("['fight', \"car crash\"]", "fight, car crash"),
        ('```python\n["a man\'s bag is taken"]\n```', "a man's bag is taken"),
        ("[]", ""),
        ("['none']", "none"),
        ("fight, theft", "fight, theft"),
        ("[fight, 'theft]", "fight, theft"),
        ("{{}}", "{{}}"),
        ("", ""),
    ],
)
def test_tags_lose_their_brackets_and_quotes(text: str, description: str) -> None:
    assert parsers.TagsParser()(text).description == description


def test_whitespace_of_a_caption_is_collapsed() -> None:
    assert parsers.CaptionParser()("```\nA man\nwalks.\n```").description == "A man walks."


ONE = (1.0, 2.0, 3.0, 4.0, 0.9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.9}]', (ONE,)),
        ('```json\n[{"bbox_2d": [3, 4, 1, 2], "confidence": 0.9}]\n```', (ONE,)),
        ('Here: [{"bbox_2d": [1, 2, 3, 4], "confidence": 0.9}, {"bbox_2d": [0, 0, 9, 9], "confidence": 3}]',
         (ONE, (0.0, 0.0, 9.0, 9.0, 1.0))),
        ("[]", ()),
        ('[{"bbox_2d": [1, 2, 3, 4], confidence: 0.9', (ONE,)),
        ("bbox_2d 1 2 3 4 with 0.9", (ONE,)),
        ("bbox_2d 1 2 3 4", None),
        ('[{"bbox_2d": [1, 2, 3], "confidence": 0.9}]', None),
        ('[{"bbox_2d": [1, 2, 3, NaN], "confidence": 0.9}]', None),
        ('[{"bbox_2d": {"1": 0, "2": 0, "3": 0, "4": 0}, "confidence": 1}]', None),
        ('[{"bbox_2d": [true, 2, 3, 4], "confidence": 1}]', None),
        ('[{"bbox_2d": "1234", "confidence": 1}]', None),
        ('[{"bbox_2d": [1' + "0" * 400 + ', 2, 3, 4], "confidence": 0.9}]', None),
        ("9" * 400 + " 2 3 4 0.9", None),
        ('[{"bbox_2d": [1, 2, 3, 4], // no\n "confidence": 0.9}]', (ONE,)),
        ("there is nothing", None),
        ("", None),
    ],
)  # fmt: skip
def test_boxes(text: str, expected: tuple[tuple[float, ...], ...] | None) -> None:
    assert parsers.parse_boxes(text) == expected


def test_the_score_of_boxes_is_the_highest_confidence() -> None:
    assert parsers.BoxesParser()('[{"bbox_2d": [1, 2, 3, 4], "confidence": 0.4}]').score == 0.4
    assert parsers.BoxesParser()("[]").score == 0.0
    assert math.isnan(parsers.BoxesParser()("nothing").score)


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"\[[{\"'0-9.,: a-z\[\]}]{0,40}\]", fullmatch=True))
@pytest.mark.parametrize(
    "parser",
    [
        parsers.VerdictParser(),
        parsers.RatingParser(),
        parsers.YesNoParser(),
        parsers.TagsParser(),
        parsers.CaptionParser(),
        parsers.LastLineParser(),
        parsers.ZeroParser(),
        parsers.BoxesParser(),
    ],
)
def test_no_text_breaks_a_parser(parser: parsers.RatingParser, text: str) -> None:
    score = parser(text).score
    assert math.isnan(score) or 0 <= score <= 1


@pytest.mark.parametrize(
    ("text", "score", "description"),
    [
        ("1. No.\n2. Yes, a man is hit.\n[1]", 1.0, "1. No. 2. Yes, a man is hit."),
        ("1. No.\n[0]", 0.0, "1. No."),
        ("I see a fight.", 1.0, ""),
        ("10 people walk.", 0.0, ""),
        ("10 people walk.\nOutput:\n1", 1.0, ""),
        ("No output.\nOutput: 1\nOutput:\n[0]", 0.0, "No output. Output: 1 Output:"),
        (" ", math.nan, ""),
    ],
)
def test_veras_answer_is_normal_if_there_is_a_zero_in_it(text: str, score: float, description: str) -> None:
    response = parsers.ZeroParser()(text)
    assert response.score == pytest.approx(score, nan_ok=True)
    assert response.description == description


def _words(rng: np.random.Generator, n: int, extra: tuple[str, ...] = ()) -> list[str]:
    common = ("a", "man", "runs.", "3.5", "m", "No", "crime.\tThe", "street", "U.S.", "Yes,", "is", "hit")
    return [str(word) for word in rng.choice([*common, *extra], n)]


def test_veras_answers_are_scored_as_by_the_authors_program() -> None:
    """0 if there is a 0 in what follows the last "Output", else 1; the program does not stop at the number."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        answer = " ".join(_words(rng, int(rng.integers(1, 12)), ("Output:", "Output", "\n", "[0]", "[1]", "10", "0")))
        expected = 0.0 if "0" in answer.split("Output")[-1] else 1.0
        score = parsers.ZeroParser()(answer).score
        assert (1.0 if math.isnan(score) else score) == expected  # missing: 1.0
        assert parsers.cut_at_stop_pattern(answer, parsers.ZeroParser().stop_pattern) == answer


def test_lavads_summary_is_the_last_line_as_in_the_authors_program() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        lines = [" ".join(_words(rng, int(rng.integers(1, 6)))) for _ in range(int(rng.integers(1, 5)))]
        answer = "\n".join(lines)
        assert parsers.LastLineParser()(answer).description == " ".join(answer.split("\n")[-1].split())


def test_a_line_break_after_the_summary_is_not_a_line() -> None:
    assert parsers.LastLineParser()("Here it is:\n\nA  fight.\n").description == "A fight."
    assert parsers.LastLineParser()(" \n ").description == ""


def authors_reading(response: str) -> tuple[float, str]:
    """CoReVAD's evaluation: the score of a response, and the text that its refinement compares."""
    text = " ".join(response.split())
    end = next((k for k, char in enumerate(text) if char == "." and text[k + 1 : k + 2] in ("", " ")), None)
    first, body = (text, "") if end is None else (text[: end + 1], text[end + 1 :].strip())
    return (1.0 if first.lower().startswith("anomalous scenes") else 0.0), body or first


def test_corevads_answers_are_read_as_by_the_authors_programs() -> None:
    """The second and third line of the answer, joined by a space; what follows is not used."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        verdict = str(
            rng.choice(["Anomalous scenes.", "Normal scenes.", "normal scenes", " ANOMALOUS scenes. ", "Unsure."])
        )
        more = [" ".join(_words(rng, int(rng.integers(1, 9)))) for _ in range(int(rng.integers(1, 4)))]
        answer = "\n".join(["```", verdict, *more, "```"])
        lines = answer.strip().split("\n")
        expected = f"{lines[1].strip()} {lines[2].strip()}"
        response = parsers.VerdictParser()(answer)
        assert response.text == " ".join(expected.split())
        score, body = authors_reading(expected)
        assert (0.0 if math.isnan(response.score) else response.score) == score  # missing: 0.0
        assert response.description == body


def test_corevads_released_responses_are_read_as_by_the_authors_program(shared: Path) -> None:
    released = json.loads((shared / "recorded/corevad/VLM_responses_LRC_ucf.json").read_text(encoding="utf-8"))
    responses = [text for texts in released.values() for text in texts]
    assert len(responses) == 37188
    for text in responses:
        response = parsers.VerdictParser()(text)
        score, body = authors_reading(text)
        assert (0.0 if math.isnan(response.score) else response.score) == score
        assert response.description == body
