"""Fuzz the readers of answers, guided by coverage.

`pip install atheris`, then `python tools/fuzz_readers.py -max_total_time=180`.
Not part of the tests: tests/hostile/test_fuzz.py asks the same of the readers with hypothesis.
"""

from __future__ import annotations

import math
import sys

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["vaa"]):
    from vaa.prompts import parsers

READERS = (
    parsers.VerdictParser(),
    parsers.RatingParser(),
    parsers.JudgeScoreParser(),
    parsers.YesNoParser(),
    parsers.TagsParser(),
    parsers.CaptionParser(),
    parsers.BoxesParser(),
)


def one(data: bytes) -> None:
    """Any exception, and any score out of range, ends the fuzzer with the text that did it."""
    text = data.decode("utf-8", errors="replace")
    for decoder in READERS:
        score = decoder(text).score
        if not (math.isnan(score) or 0 <= score <= 1):
            raise AssertionError(f"{decoder}: {score}")
    for *corners, confidence in parsers.parse_boxes(text) or ():
        if not all(map(math.isfinite, corners)) or not 0 <= confidence <= 1:
            raise AssertionError(f"{corners} {confidence}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
