"""Parsers: from a model's answer to a Response. A score that cannot be parsed is NaN, never a guess."""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from vaa.prompts.thoughts import split_thoughts
from vaa.types import Response

_FENCE = re.compile(r"^\s*`{3}[a-z]*\s*$|`{3}", re.MULTILINE | re.IGNORECASE)
_SENTENCE = re.compile(r"\.(?=\s|$)")
_BRACKETED = re.compile(r"\[\s*([^\[\]]*?)\s*\]")
_BRACED = re.compile(r"\{[^{}]*\}")
_BOX_KEY = re.compile(r"bbox[\s_]?2d", re.IGNORECASE)
_MAX_DIGITS = 9  # of a coordinate
_MAX_LENGTH = 300  # of a decimal, which could be infinite otherwise
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")

ParsedBox = tuple[float, float, float, float, float]
"""x1, y1, x2, y2, confidence."""


@runtime_checkable
class Parser(Protocol):
    """Turns a model's answer into a Response."""

    @property
    def stop_pattern(self) -> str:
        """Regular expression: an answer is complete at the end of its first match. "" if it can be of any length."""

    @property
    def form(self) -> str:
        """What it expects, for messages: "one number ..., as in [0.7]"."""

    def __call__(self, text: str) -> Response:
        """The response; its score is NaN if the text has none."""


@dataclass(frozen=True)
class VerdictParser:
    """CoReVAD: a verdict ("Anomalous scenes." or "Normal scenes."), then a sentence of description."""

    stop_pattern: ClassVar[str] = r"```[^`]*```"
    form: ClassVar[str] = "'Anomalous scenes.' or 'Normal scenes.', then a sentence of description"

    def __call__(self, text: str) -> Response:
        """Score 1 for anomalous, 0 for normal; the description is everything after the first sentence.

        Of a fenced block of two lines or more the first two are used, as in the authors' program.
        """
        lines = text.strip().split("\n")
        if lines[0].startswith("```") and len(lines) > 2:
            text = f"{lines[1]} {lines[2]}"
        text = " ".join(_FENCE.sub(" ", text).split())
        end = _SENTENCE.search(text)
        verdict = text[: end.end()] if end else text
        description = text[len(verdict) :].strip() or verdict
        score = math.nan
        if verdict.lower().startswith("anomalous scenes"):
            score = 1.0
        elif verdict.lower().startswith("normal scenes"):
            score = 0.0
        return Response(text=text, score=score, description=description)


@dataclass(frozen=True)
class CaptionParser:
    """Free text: all of it is the description, with whitespace collapsed."""

    stop_pattern: ClassVar[str] = ""
    form: ClassVar[str] = "any text"

    def __call__(self, text: str) -> Response:
        """No score; the description."""
        text = " ".join(_FENCE.sub(" ", text).split())
        return Response(text=text, score=math.nan, description=text)


@dataclass(frozen=True)
class LastLineParser:
    """LAVAD's summaries: the last line is the description, without the introduction that a chat model may write."""

    stop_pattern: ClassVar[str] = ""
    form: ClassVar[str] = "any text; its last line is used"

    def __call__(self, text: str) -> Response:
        """No score; the last line that is not empty, with whitespace collapsed."""
        lines = text.strip().split("\n")
        return Response(text=" ".join(text.split()), score=math.nan, description=" ".join(lines[-1].split()))


@dataclass(frozen=True)
class RatingParser:
    """URF: a list of one number in [0, 1]; the first `[number]` is used."""

    stop_pattern: ClassVar[str] = r"\[\s*(?:\d+(?:\.\d+)?|\.\d+)\s*\]"
    form: ClassVar[str] = "one number from 0 to 1 in square brackets, as in [0.7]"

    def __call__(self, text: str) -> Response:
        """The number as score, no description."""
        score = math.nan
        for match in _BRACKETED.finditer(text):
            if _NUMBER.fullmatch(match[1]):
                number = float(match[1])
                score = number if number <= 1 else math.nan
                break
        return Response(text=" ".join(text.split()), score=score, description="")


@dataclass(frozen=True)
class JudgeScoreParser:
    """URF's judge: `{'score': x}` with x in [0, 1], in the first braces, which also end the answer."""

    stop_pattern: ClassVar[str] = r"\{[^{}]*\}"
    form: ClassVar[str] = "{'score': x} with x from 0 to 1"

    def __call__(self, text: str) -> Response:
        """The number as score, no description."""
        marks = (_mark(match[0]) for match in _BRACED.finditer(text))
        number = next((mark for mark in marks if not math.isnan(mark)), math.nan)
        return Response(text=" ".join(text.split()), score=number if 0 <= number <= 1 else math.nan, description="")


@dataclass(frozen=True)
class ZeroParser:
    """VERA: the answer ends in 0 or 1; as in the authors' program, one without a 0 in it counts as anomalous.

    What precedes the last "Output" does not count: the authors' prompt asks for words, "Output:", and the number. The
    answer is not cut at the number, since a later 0 counts in their program too.
    """

    stop_pattern: ClassVar[str] = ""
    form: ClassVar[str] = "words, then [0] or [1]"

    def __call__(self, text: str) -> Response:
        """Score 0 if there is a 0 in the text, else 1; NaN for an empty one. The description is what precedes [."""
        words = " ".join(text.split())
        score = math.nan if not words else 0.0 if "0" in words.rpartition("Output")[2] else 1.0
        return Response(text=words, score=score, description=words.rpartition("[")[0].strip())


@dataclass(frozen=True)
class YesNoParser:
    """Probe-VAD: starts with YES (1) or NO (0)."""

    stop_pattern: ClassVar[str] = ""
    form: ClassVar[str] = "YES or NO at the beginning"

    def __call__(self, text: str) -> Response:
        """Score 1 or 0, no description."""
        match = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
        score = math.nan if match is None else float(match[1].lower() == "yes")
        return Response(text=" ".join(text.split()), score=score, description="")


@dataclass(frozen=True)
class TagsParser:
    """A Python-style list of phrases; the description is the phrases, joined by commas."""

    stop_pattern: ClassVar[str] = r"\[[^\[\]]*\]"
    form: ClassVar[str] = "a list of phrases, as in ['a fight', 'a fall']"

    def __call__(self, text: str) -> Response:
        """No score; the phrases."""
        text = " ".join(_FENCE.sub(" ", text).split())
        bracketed = _BRACKETED.search(text)
        content = bracketed[1] if bracketed else text
        try:
            phrases = [phrase for phrase in ast.literal_eval(f"[{content}]") if isinstance(phrase, str)]
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            phrases = [phrase.strip(" '\"") for phrase in content.split(",")]
        return Response(text=text, score=math.nan, description=", ".join(phrase for phrase in phrases if phrase))


@dataclass(frozen=True)
class BoxesParser:
    """URF's boxes: the score is the highest confidence, 0 without a box, NaN if the answer cannot be parsed."""

    stop_pattern: ClassVar[str] = r"\A[^\[]*\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
    form: ClassVar[str] = 'a JSON list, as in [{"bbox_2d": [10, 20, 110, 220], "confidence": 0.8}], or []'

    def __call__(self, text: str) -> Response:
        """The score only; see `parse_boxes` for the boxes."""
        boxes = parse_boxes(text)
        score = math.nan if boxes is None else max((confidence for *_, confidence in boxes), default=0.0)
        return Response(text=" ".join(text.split()), score=score, description="")


def parse_boxes(text: str) -> tuple[ParsedBox, ...] | None:
    """The boxes in an answer after its thoughts, in the model's coordinates; None if it cannot be parsed.

    Invalid JSON is read as in URF's code: the first four integers, and the last decimal as confidence.
    """
    text = _FENCE.sub(" ", split_thoughts(text).text)
    start, stop = text.find("["), text.rfind("]")
    try:
        entries = json.loads(text[start : stop + 1])
        return tuple(_box(_list(entry["bbox_2d"]), entry["confidence"]) for entry in entries)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        text = text.replace("bbox_2d", " ")
        corners = re.findall(r"(?<![\d.])-?\d+(?![\d.])", text)[:4]
        decimals = re.findall(r"\d*\.\d+", text)
        valid = len(corners) == 4 and all(len(corner.lstrip("-")) <= _MAX_DIGITS for corner in corners)
        finite = decimals and math.isfinite(float(decimals[-1]))
        return (_box(corners, decimals[-1]),) if valid and finite else None


def parse_first_box(text: str) -> tuple[ParsedBox, ...] | None:
    """The first box in an answer, read as URF's program does; empty if there is none, None if it cannot be parsed.

    JSON is read only if it is the whole answer. Of any other, as of JSON in a fence, the box is the first four integers
    and the confidence the last decimal, 0 if there is none: a confidence of 1 without a decimal point is lost.
    """
    text = split_thoughts(text).text.strip()
    try:
        first = json.loads(text)[0]
        corners = [int(corner) for corner in _list(first["bbox_2d"])]
        return (_box(corners, float(first["confidence"])),)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        corners = [int(match[:_MAX_DIGITS]) for match in re.findall(r"\d+", _BOX_KEY.sub("", text))[:4]]
        decimals = re.findall(r"\d*\.\d+", text)
        confidence = float(decimals[-1]) if decimals and len(decimals[-1]) < _MAX_LENGTH else 0.0
        if len(corners) == 4:
            return (_box(corners, confidence),)
        return () if parse_boxes(text) == () else None


def _list(corners: Any) -> list[Any]:
    """The corners, if they are a list; a mapping with numbers as keys or a string could be unpacked too."""
    if not isinstance(corners, list) or any(isinstance(corner, bool) for corner in corners):
        raise TypeError(f"not a list of corners: {corners}")
    return corners


def _box(corners: list[Any], confidence: Any) -> ParsedBox:
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    if not all(math.isfinite(number) for number in (x1, y1, x2, y2, float(confidence))):
        raise ValueError(f"not a box: {corners}")
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2), min(1.0, max(0.0, float(confidence)))


def _mark(text: str) -> float:
    """The number under `score` in JSON or a Python literal, NaN if there is none; nothing is evaluated."""
    for load in (json.loads, ast.literal_eval):
        try:
            mark = load(text)["score"]
            return math.nan if isinstance(mark, bool) else float(mark)
        except (ValueError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, RecursionError):
            continue
    return math.nan


def cut_at_stop_pattern(answer: str, stop_pattern: str) -> str:
    """An answer with its thoughts, up to the end of the first match of the pattern after them.

    It is unchanged if there is no match, no pattern or no end of the thoughts.
    """
    if not stop_pattern:
        return answer
    split = split_thoughts(answer)
    match = re.search(stop_pattern, split.text) if split.finished else None
    return split.thoughts + split.text[: match.end()] if match else answer


def is_complete(answer: str, stop_pattern: str) -> bool:
    """Whether the pattern matches after the thoughts, so that no more of the answer is needed."""
    split = split_thoughts(answer)
    return split.finished and re.search(stop_pattern, split.text) is not None
