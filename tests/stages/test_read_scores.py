from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import ConfigError, VideoError
from vaa.stages.read_scores import ReadScores
from vaa.types import Report, Video

REPORT = Report(Video("v", Path("v.mp4"), 64, 30.0))


def write(folder: Path, content: object, name: str = "v.json") -> ReadScores:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return ReadScores(root=str(folder))


@pytest.mark.parametrize("name", ["v.json", "v.mp4.json"])
def test_scores_are_sorted_by_frame(tmp_path: Path, name: str) -> None:
    report = write(tmp_path, {"16": 0.5, "0": 0.1, "112": 1, "32": 0}, name)(REPORT)
    assert report.track is not None
    assert report.track.starts.tolist() == [0, 16, 32, 112]
    assert report.track.values.tolist() == [0.1, 0.5, 0.0, 1.0]
    assert (report.n_answers, report.n_unparsed) == (4, 0)


@pytest.mark.parametrize("hole", [None, float("nan"), -1])
def test_missing_scores_are_counted_and_interpolated(tmp_path: Path, hole: float | None) -> None:
    report = write(tmp_path, {"0": hole, "16": 0.2, "24": hole, "48": 0.6})(REPORT)
    assert report.track is not None
    np.testing.assert_allclose(report.track.values, [0.2, 0.2, 0.3, 0.6], atol=1e-15)
    assert (report.n_answers, report.n_unparsed) == (4, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"0": 0.5, "16": 1.5}, "frame 16 has the score 1.5"),
        ({"0": -0.5}, "frame 0 has the score -0.5"),
        ({"0": None, "16": -1}, "no valid score"),
        ({}, "has no scores"),
        ({"-16": 0.5}, "is negative"),
        ({"first": 0.5}, "not a JSON mapping"),
        ({"0": [1]}, "not a JSON mapping"),
        ([0.5, 0.5], "not a JSON mapping"),
        ("{half a fi", "not a JSON mapping"),
    ],
)
def test_an_invalid_file_is_a_named_failure_of_the_video(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(VideoError, match=message) as error:
        write(tmp_path, content)(REPORT)
    assert "v.json" in str(error.value)


def test_a_missing_file_is_a_failure_of_the_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"v\.json does not exist"):
        ReadScores(root=str(tmp_path))(REPORT)


def test_a_missing_folder_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder") as error:
        ReadScores(root=str(tmp_path / "nowhere"))
    assert not isinstance(error.value, VideoError)


@pytest.mark.parametrize(
    "content",
    [
        '\ufeff{"32": 0.3, "0": 0.1, "16": 1}',
        '{"32": "0.3", "0": 0.1, "16": 1.0}',
        '{" 32": 3e-1, "00": 0.1, "1_6": 1}',
    ],
)
def test_other_notations_give_the_same_track(tmp_path: Path, content: str) -> None:
    track, expected = (
        write(tmp_path, content)(REPORT).track,
        write(tmp_path, {"0": 0.1, "16": 1, "32": 0.3})(REPORT).track,
    )
    assert track is not None
    assert expected is not None
    assert (track.starts.tolist(), track.values.tolist()) == (expected.starts.tolist(), expected.values.tolist())


@pytest.mark.parametrize("content", ['{"0": 0.5, "0": 0.6}', '{"0": 0.5, "00": 0.6}', '{"0": 0.5, "0": NaN}'])
def test_a_repeated_frame_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(VideoError, match="occurs twice"):
        write(tmp_path, content)(REPORT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"0": true}', "True is not a score"),
        ('{"0": 1e999}', "the score inf"),
        (f'{{"{10**30}": 0.5}}', "not below 100000000"),
    ],
)
def test_values_that_are_not_numbers_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        write(tmp_path, content)(REPORT)
