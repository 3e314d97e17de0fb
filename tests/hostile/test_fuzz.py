"""Parsers and file readers with random text and JSON: only errors of vaa, no score outside [0, 1]."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import recorded_model

from vaa.data.annotated import read_index, read_spans, read_texts
from vaa.data.avenue import read_matlab_intervals
from vaa.data.boxes import read_boxes
from vaa.data.flat import read_feature_list
from vaa.data.lagovad import read_list
from vaa.data.tracks import read_tracks
from vaa.data.ucsd_ped import read_matlab_program
from vaa.errors import VaaError
from vaa.evaluation.protocol import read_labels
from vaa.prompts import parsers
from vaa.stages.read_scores import ReadScores
from vaa.types import GenerateQuery, NoAnswer, Report, Video, file_name

FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
PARSERS = [
    parsers.VerdictParser(),
    parsers.RatingParser(),
    parsers.JudgeScoreParser(),
    parsers.YesNoParser(),
    parsers.TagsParser(),
    parsers.CaptionParser(),
    parsers.BoxesParser(),
]
NUMBERS = st.sampled_from(
    ["1e9", "NaN", "-1", "0,5", "0.5", "1.5", "Infinity", "9" * 400, "9" * 5000, "٣", "²", "true"]
)
PIECES = st.sampled_from(
    ["[", "]", "{", "}", ",", ":", '"', "'", "score", "bbox_2d", "confidence", "// no", "```json\n", "YES", "no", " ",
     "Anomalous scenes.", "Normal scenes.", "\\", "\0", "\u2028", "(", "lambda:0", "__import__('os')"]
)  # fmt: skip
TEXTS = st.text(max_size=40) | st.lists(PIECES | NUMBERS | st.text(max_size=3), max_size=25).map("".join)
KEYS = st.sampled_from(["v", "0", "16", "-1", "00", "video", "temporal_label", "length", "bbox_2d"]) | st.text(
    max_size=4
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400)
JSON = st.recursive(LEAVES, lambda x: st.lists(x, max_size=5) | st.dictionaries(KEYS, x, max_size=4), max_leaves=12)
VIDEO = Video("v", Path("v.mp4"), 64, 30.0)
Read = Callable[[Path], Any]
FILES: dict[str, Read] = {
    "index.txt": read_index,
    "spans.txt": read_spans,
    "texts.json": read_texts,
    "labels.json": read_labels,
    "boxes.json": read_boxes,
    "boxes.pkl": read_boxes,
    "list.json": read_list,
    "features.txt": lambda file: read_feature_list(file, "_i3d"),
    "tracks.txt": lambda file: read_tracks(file, 64),
    "UCSDped1.m": lambda file: read_matlab_program(file, 1),
    "avenue.mat": read_matlab_intervals,
    "v.json": lambda file: ReadScores(root=str(file.parent), field="refined", step=1, lowest=0.0, highest=1.0)(
        Report(VIDEO)
    ),
}


def in_range(score: float) -> bool:
    return math.isnan(score) or 0 <= score <= 1


@FUZZ
@given(TEXTS)
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: type(parser).__name__)
def test_a_parsed_score_is_in_range(parser: Callable[[str], Any], text: str) -> None:
    response = parser(text)
    assert in_range(response.score)
    digits = any(char.isdigit() for char in text)
    if isinstance(parser, parsers.RatingParser | parsers.JudgeScoreParser) and not digits:
        assert math.isnan(response.score)  # the text has no number


@FUZZ
@given(TEXTS | JSON.map(lambda value: json.dumps([{"bbox_2d": value, "confidence": 0.5}])))
def test_parsed_boxes_are_finite_and_ordered(text: str) -> None:
    for x1, y1, x2, y2, confidence in parsers.parse_boxes(text) or ():
        assert all(map(math.isfinite, (x1, y1, x2, y2)))
        assert x1 <= x2
        assert y1 <= y2
        assert 0 <= confidence <= 1


@FUZZ
@given(st.data())
@pytest.mark.parametrize("name", FILES)
def test_a_random_file_is_read_or_refused_by_name(tmp_path: Path, name: str, data: st.DataObject) -> None:
    text = TEXTS | st.lists(TEXTS | NUMBERS | KEYS, max_size=6).map(" ".join)
    kinds: list[Any] = [text.map(lambda t: t.encode(errors="replace")), st.binary(max_size=60)]
    if name.endswith("json"):
        kinds.append(JSON.map(lambda value: json.dumps(value).encode()))
    if name.endswith("pkl"):
        kinds.append(JSON.map(pickle.dumps))
    file = tmp_path / name
    file.write_bytes(data.draw(st.one_of(kinds)))
    try:
        result = FILES[name](file)
    except VaaError as error:
        assert name in str(error)  # noqa: PT017 - either is right
        return
    if name == "v.json":
        assert all(0 <= value <= 1 for value in result.track.values)


PURPOSES = {
    "verdict": "VLM_responses_x.json",
    "rating": "scores/v.json",
    "tags": "scores/suspicious_part_phrases.json",
    "description": "understanding/x.json",
}


@settings(FUZZ, max_examples=40)
@given(JSON, st.sampled_from(list(PURPOSES)))
def test_random_recorded_answers_are_text_or_no_answer(
    tmp_path_factory: pytest.TempPathFactory, content: Any, purpose: str
) -> None:
    root = tmp_path_factory.mktemp("recorded")  # files are read once
    file = root / PURPOSES[purpose]
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"v": content} if purpose != "rating" else {"0": content}))
    model = recorded_model(root)
    try:
        (answer,) = model.generate(
            [GenerateQuery(purpose=purpose, video=VIDEO, at=0, frames=(0,), text="?", max_new_tokens=8)]
        )
    except VaaError as error:
        assert str(root) in str(error)  # noqa: PT017 - either is right
        return
    assert isinstance(answer, str | NoAnswer)
    if purpose == "rating" and isinstance(answer, str):
        assert in_range(parsers.RatingParser()(answer).score)


@FUZZ
@given(st.text(min_size=1, max_size=60))
def test_a_video_name_is_one_file_name_and_can_be_decoded(name: str) -> None:
    from urllib.parse import unquote

    encoded = file_name(name)
    assert Path("scores", encoded).parent == Path("scores")
    assert "\0" not in encoded
    assert unquote(encoded.removesuffix(".json")) == name
