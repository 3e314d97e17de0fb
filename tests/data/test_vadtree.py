from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from vaa.data.vadtree import parse_scores, read_score_file
from vaa.errors import DataError, VideoError


def write(folder: Path, content: object) -> Path:
    file = folder / "scores.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def test_entries_are_found_by_video_and_other_keys_are_ignored(tmp_path: Path) -> None:
    file = write(tmp_path, {"config": {"think": True}, "vid_score": {"Fire_1.mp4": [0.5], "b.c__#1": [0.1]}})
    assert read_score_file(file) == {"Fire_1": [0.5], "b.c__#1": [0.1]}


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    assert list(read_score_file(write(tmp_path, {"vid_score": {"a.mp4": [0.5]}}))) == ["a"]
    assert list(read_score_file(write(tmp_path, {"vid_score": {"another.mp4": [0.5]}}))) == ["another"]


@pytest.mark.parametrize(
    "scores",
    [
        {"0, 27": [0.4, 0.2, "Okay"], "27, 134": [0.5, 0.7, "So"]},
        {"27,134": 0.5, "0, 27": [0.4]},
    ],
    ids=["refined", "plain, in another order"],
)
def test_nodes_are_ordered_and_have_their_first_score(scores: object) -> None:
    parsed = parse_scores(scores, "here")
    assert (parsed.starts.tolist(), parsed.values.tolist(), parsed.stop) == ([0, 27], [0.4, 0.5], 135)


def test_a_list_has_a_score_per_frame_and_none_is_nan() -> None:
    parsed = parse_scores([0.5, None, 1], "here")
    assert (parsed.starts.tolist(), parsed.stop) == ([0, 1, 2], 3)
    assert math.isnan(parsed.values[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"vid_score": {"v": [0.5', "line 1"),
        ("[]", "vid_score"),
        ({"scores": {}}, "vid_score"),
        ({"vid_score": [0.5]}, "vid_score"),
        ('{"vid_score": {"v.mp4": [0.5], "v.mp4": [0.6]}}', "'v.mp4' occurs twice"),
        ('{"vid_score": {"v.mp4": [0.5], "v": [0.6]}}', "'v' occurs twice"),
        ('{"vid_score": {"v.mp4": {"0, 9": 0.1, "0, 9": 0.2}}}', "'0, 9' occurs twice"),
        ("[" * 9999, "vid_score"),
    ],
)
def test_a_file_in_another_layout_is_refused_by_name(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_score_file(write(tmp_path, content))
    assert "scores.json" in str(error.value)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"0 - 9": 0.5}, "'0 - 9' is not a node"),
        ({"9, 0": 0.5}, "'9, 0' is not a node"),
        ({"-1, 9": 0.5}, "'-1, 9' is not a node"),
        ({"0, 9": "0.5"}, "node 0, 9: '0.5' is not a score"),
        ({"0, 9": []}, "node 0, 9: .* is not a score"),
        ({"0, 9": [True]}, "node 0, 9: True is not a score"),
        ({"0, 9": 0.5, "20, 29": 0.5}, "after frame 9 begins at frame 20"),
        ({"0, 9": 0.5, "5, 29": 0.5}, "after frame 9 begins at frame 5"),
        ([0.5, "high"], "frame 1: 'high' is not a score"),
        ([], "expected a list"),
        ({}, "expected a list"),
        (0.5, "expected a list"),
    ],
)
def test_broken_scores_name_the_video_and_the_node(scores: object, message: str) -> None:
    with pytest.raises(VideoError, match=message) as error:
        parse_scores(scores, "scores.json, Fire_1")
    assert "scores.json, Fire_1" in str(error.value)
