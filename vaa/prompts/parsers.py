"""Readers: from the text a model wrote to a Response. What cannot be read is NaN, never a guess."""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from vaa.types import Response

_FENCE = re.compile(r"^\s*`{3}[a-z]*\s*$|`{3}", re.MULTILINE | re.IGNORECASE)
_SENTENCE = re.compile(r"\.(?=\s|$)")
_BRACKETED = re.compile(r"\[\s*([^\[\]]*?)\s*\]")
_BRACED = re.compile(r"\{[^{}]*\}")
_DIGITS = 9  # of a pixel's number
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")


@runtime_checkable
class Parser(Protocol):
    """Turns a model's answer into a Response."""

    @property
    def stop_pattern(self) -> str:
        """Regular expression: an answer is complete at the end of its first match. "" if it may go on to any length."""

    def __call__(self, text: str) -> Response:
        """The response; its score is NaN where the text has none."""


@dataclass(frozen=True)
class VerdictParser:
    """CoReVAD's contract: a verdict ("Anomalous scenes." or "Normal scenes."), then a sentence of description."""

    stop_pattern: ClassVar[str] = r"```[^`]*```"

    def __call__(self, text: str) -> Response:
        """Score 1 for anomalous, 0 for normal; the description is all that follows the first sentence."""
        words = " ".join(_FENCE.sub(" ", text).split())
        end = _SENTENCE.search(words)
        first = words[: end.end()] if end else words
        description = words[len(first) :].strip() or first
        lower = first.lower()
        score = math.nan
        if lower.startswith("anomalous scenes"):
            score = 1.0
        elif lower.startswith("normal scenes"):
            score = 0.0
        return Response(text=words, score=score, description=description)


@dataclass(frozen=True)
class CaptionParser:
    """Free text: all of it is the description, on one line; the empty string if nothing was said."""

    stop_pattern: ClassVar[str] = ""

    def __call__(self, text: str) -> Response:
        """No score; the description."""
        words = " ".join(_FENCE.sub(" ", text).split())
        return Response(text=words, score=math.nan, description=words)


@dataclass(frozen=True)
class RatingParser:
    """URF's contract: a list holding one number in [0, 1]; the first `[number]` counts."""

    stop_pattern: ClassVar[str] = r"\[\s*(?:\d+(?:\.\d+)?|\.\d+)\s*\]"

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
    """URF's judge's contract: `{'score': x}` with x in [0, 1]; the first that says a number counts."""

    stop_pattern: ClassVar[str] = r"\{[^{}]*\}"

    def __call__(self, text: str) -> Response:
        """The number as score, no description."""
        marks = (_mark(match[0]) for match in _BRACED.finditer(text))
        number = next((mark for mark in marks if not math.isnan(mark)), math.nan)
        return Response(text=" ".join(text.split()), score=number if 0 <= number <= 1 else math.nan, description="")


@dataclass(frozen=True)
class YesNoParser:
    """Probe-VAD's contract: YES (1) or NO (0), nothing before it."""

    stop_pattern: ClassVar[str] = ""

    def __call__(self, text: str) -> Response:
        """Score 1 or 0, no description."""
        first = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
        score = math.nan if first is None else float(first[1].lower() == "yes")
        return Response(text=" ".join(text.split()), score=score, description="")


@dataclass(frozen=True)
class TagsParser:
    """A Python-style list of phrases; the description is the phrases with commas between them, without brackets."""

    stop_pattern: ClassVar[str] = r"\[[^\[\]]*\]"

    def __call__(self, text: str) -> Response:
        """No score; the phrases."""
        words = " ".join(_FENCE.sub(" ", text).split())
        listed = _BRACKETED.search(words)
        inside = listed[1] if listed else words
        try:
            phrases = [phrase for phrase in ast.literal_eval(f"[{inside}]") if isinstance(phrase, str)]
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            phrases = [phrase.strip(" '\"") for phrase in inside.split(",")]
        return Response(text=words, score=math.nan, description=", ".join(phrase for phrase in phrases if phrase))


@dataclass(frozen=True)
class BoxesParser:
    """URF's box contract: the score is the confidence of the surest box, 0 if there is none, NaN if unreadable."""

    stop_pattern: ClassVar[str] = r"\A[^\[]*\[(?:[^\[\]]|\[[^\[\]]*\])*\]"

    def __call__(self, text: str) -> Response:
        """The score alone; `boxes` reads where they are."""
        found = parse_boxes(text)
        score = math.nan if found is None else max((confidence for *_, confidence in found), default=0.0)
        return Response(text=" ".join(text.split()), score=score, description="")


def parse_boxes(text: str) -> tuple[tuple[float, float, float, float, float], ...] | None:
    """Boxes (x1, y1, x2, y2, confidence) in pixels of the image as the model saw it; None if nothing can be read.

    What is no valid JSON is read as URF reads it: the first four integers, and the last decimal as the confidence.
    """
    words = _FENCE.sub(" ", text)
    start, stop = words.find("["), words.rfind("]")
    try:
        listed = json.loads(words[start : stop + 1])
        return tuple(_box(_listed(entry["bbox_2d"]), entry["confidence"]) for entry in listed)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        rest = words.replace("bbox_2d", " ")
        corners = re.findall(r"(?<![\d.])-?\d+(?![\d.])", rest)[:4]
        decimals = re.findall(r"\d*\.\d+", rest)
        readable = len(corners) == 4 and all(len(corner.lstrip("-")) <= _DIGITS for corner in corners)
        surely = decimals and math.isfinite(float(decimals[-1]))
        return (_box(corners, decimals[-1]),) if readable and surely else None


def _listed(corners: Any) -> list[Any]:
    """Neither a mapping, whose keys might be numbers, nor a word."""
    if not isinstance(corners, list) or any(isinstance(corner, bool) for corner in corners):
        raise TypeError(f"no list of corners: {corners}")
    return corners


def _box(corners: list[Any], confidence: Any) -> tuple[float, float, float, float, float]:
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    if not all(math.isfinite(number) for number in (x1, y1, x2, y2, float(confidence))):
        raise ValueError(f"no box: {corners}")
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2), min(1.0, max(0.0, float(confidence)))


def _mark(text: str) -> float:
    """The number under `score` in JSON or a Python literal, NaN if there is none; nothing is evaluated."""
    for read in (json.loads, ast.literal_eval):
        try:
            mark = read(text)["score"]
            return math.nan if isinstance(mark, bool) else float(mark)
        except (ValueError, SyntaxError, TypeError, KeyError, OverflowError, MemoryError, RecursionError):
            continue
    return math.nan
