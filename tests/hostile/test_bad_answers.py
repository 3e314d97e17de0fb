"""Unusual answers of models: each parser finds the score that is in the text, or none; never one out of range."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from vaa.prompts import parsers
from vaa.types import Response

NAN = math.nan
PARSERS: dict[str, Callable[[str], Response]] = {
    "verdict": parsers.VerdictParser(),
    "rating": parsers.RatingParser(),
    "score": parsers.JudgeScoreParser(),
    "yes or no": parsers.YesNoParser(),
}
# The text, and the score that each parser finds in it; for other parsers the text is unparsed.
ANSWERS: dict[str, tuple[str, dict[str, float]]] = {
    "nothing": ("", {}),
    "blanks": (" \n\t ", {}),
    "prose": ("People walk along the street, and nothing seems wrong.", {}),
    "prose with a number": ("I would say 0.7, though I am not sure.", {}),
    "two verdicts": ("Normal scenes. Anomalous scenes.", {"verdict": 0.0}),
    "a verdict in the middle": ("I think: Anomalous scenes.", {}),
    "both words": ("Normal or anomalous scenes", {}),
    "two ratings": ("[0.2], or rather [0.9]", {"rating": 0.2}),
    "two marks": ("{'score': 0.2} {'score': 0.9}", {"score": 0.2}),
    "yes and no": ("Yes. No.", {"yes or no": 1.0}),
    "a no within": ("not yes", {}),
    "nested brackets": ("[[0.7]]", {"rating": 0.7}),
    "nested deep": ("[" * 5000 + "0.7" + "]" * 5000, {"rating": 0.7}),
    "nested braces": ('{"why": {"score": 0.4}}', {"score": 0.4}),
    "a list of numbers": ("[0.1, 0.2]", {}),
    "1e9": ("[1e9] {'score': 1e9}", {}),
    "too large": ("[100] {'score': 100}", {}),
    "NaN": ('[NaN] {"score": NaN}', {}),
    "infinity": ('[Infinity] {"score": Infinity}', {}),
    "-1": ("[-1] {'score': -1}", {}),
    "-0": ("[-0.0]", {}),
    "0,5": ("[0,5] {'score': 0,5}", {}),
    "a percentage": ("[70%] {'score': '70%'}", {}),
    "words": ("[high] {'score': 'high'}", {}),
    "true": ('[true] {"score": true}', {}),
    "JSON with a comment behind": ('{"score": 0.5} // quite sure', {"score": 0.5}),
    "JSON with a comment inside": ('{"score": 0.5, // quite sure\n "why": "a fight"}', {}),
    "cut JSON": ('{"score": 0.5', {}),
    "an expression": ("[__import__('os').getpid()] {'score': 1/2}", {}),
    "other digits": ("[\u0660.\u0665] {'score': \u0660.\u0665}", {"rating": 0.5}),
}


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_has_the_expected_score_or_is_unparsed(answer: str, name: str) -> None:
    text, scores = ANSWERS[answer]
    assert PARSERS[name](text).score == pytest.approx(scores.get(name, NAN), nan_ok=True)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ('[{"confidence": 0.9, "bbox_2d": [1, 2, 3, 4]}]', (1, 2, 3, 4, 0.9)),  # another order of keys
        ('[{"bbox_2d": [3, 2, 1, 4], "confidence": 0.9}]', (1, 2, 3, 4, 0.9)),  # of corners
        ('[{"bbox_2d": [3, 4, 1, 2], "confidence": 0.9}]', (1, 2, 3, 4, 0.9)),
        ('[{"bbox_2d": [-5, 2, 3, 4], "confidence": 0.9}]', (-5, 2, 3, 4, 0.9)),  # out of the frame
        ('[{"bbox_2d": [1, 2, 3000, 4000], "confidence": 0.9}]', (1, 2, 3000, 4000, 0.9)),
        ("bbox_2d -5 2 3 4, surely 0.9", (-5, 2, 3, 4, 0.9)),
        ("bbox_2d 1-2-3-4, surely 0.9", (1, 2, 3, 4, 0.9)),
        ('/* mine */ [{"bbox_2d": [1, 2, 3, 4], "confidence": 0.9}] # yes', (1, 2, 3, 4, 0.9)),
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": -1}]', (1, 2, 3, 4, 0.0)),
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": 1e9}]', (1, 2, 3, 4, 1.0)),
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": "0,5"}]', None),
        ('[{"bbox_2d": [1, 2, 3, 4], "confidence": NaN}]', None),
        ('[{"bbox_2d": [1, 2, 3, 4]}]', None),
        ('[{"bbox_2d": [], "confidence": 0.9}]', None),
        ("[" * 5000, None),
    ],
)  # fmt: skip
def test_boxes_are_parsed_as_written_or_not_at_all(text: str, box: tuple[float, ...] | None) -> None:
    assert parsers.parse_boxes(text) == (None if box is None else (box,))
