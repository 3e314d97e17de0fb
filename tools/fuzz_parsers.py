"""Fuzz the parsers of answers, guided by coverage: `python tools/fuzz_parsers.py -max_total_time=180`.

Needs `pip install atheris`. Not part of the tests: tests/hostile/test_fuzz.py checks the same with hypothesis.
"""

from __future__ import annotations

import math
import sys

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["vaa"]):
    from vaa.prompts import parsers

PARSERS = (
    parsers.VerdictParser(),
    parsers.RatingParser(),
    parsers.JudgeScoreParser(),
    parsers.YesNoParser(),
    parsers.TagsParser(),
    parsers.CaptionParser(),
    parsers.BoxesParser(),
)


def check(data: bytes) -> None:
    """Raise an error for a score out of range; the fuzzer stops at any exception and saves the text."""
    text = data.decode("utf-8", errors="replace")
    for parser in PARSERS:
        score = parser(text).score
        if not (math.isnan(score) or 0 <= score <= 1):
            raise AssertionError(f"{parser}: {score}")
    for *corners, confidence in parsers.parse_boxes(text) or ():
        if not all(map(math.isfinite, corners)) or not 0 <= confidence <= 1:
            raise AssertionError(f"{corners} {confidence}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
