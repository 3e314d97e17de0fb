"""Scores of any method in npy and csv files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaa.errors import ConfigError, VideoError
from vaa.stages.read_scores import ReadScores
from vaa.types import Box, Report, Video

REPORT = Report(Video("v", Path("v.mp4"), 8, 25.0))


def read(folder: Path, step: int = 1, lowest: float = 0.0, highest: float = 1.0) -> Report:
    return ReadScores(root=str(folder), field="refined", step=step, lowest=lowest, highest=highest)(REPORT)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4)])
@pytest.mark.parametrize("step", [1, 2])
def test_a_npy_has_a_score_for_every_step(tmp_path: Path, shape: tuple[int, ...], step: int) -> None:
    np.save(tmp_path / "v.npy", np.array([0.1, 0.9, 0.5, 0.0], dtype=np.float32).reshape(shape))
    track = read(tmp_path, step).track
    assert track is not None
    np.testing.assert_allclose(track.values, [0.1, 0.9, 0.5, 0.0], atol=1e-7)
    assert track.starts.tolist() == [0, step, 2 * step, 3 * step]


@pytest.mark.parametrize(
    ("text", "starts", "values"),
    [
        ("0.1\n0.2\n", [0, 4], [0.1, 0.2]),
        ("score\n0.1\n\n0.2\n", [0, 4], [0.1, 0.2]),
        ("frame,score\n4,0.2\n0,0.1\n", [0, 4], [0.1, 0.2]),
        ("\ufeff0,0.1\n6,nan\n7,0.2\n", [0, 6, 7], [0.1, 0.1 + 0.1 * 6 / 7, 0.2]),
    ],
)
def test_a_csv_has_scores_alone_or_with_their_frames(
    tmp_path: Path, text: str, starts: list[int], values: list[float]
) -> None:
    (tmp_path / "v.csv").write_text(text, encoding="utf-8")
    track = read(tmp_path, step=4).track
    assert track is not None
    assert track.starts.tolist() == starts
    np.testing.assert_allclose(track.values, values)


def test_detections_are_boxes_and_the_highest_is_the_score_of_its_frame(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("frame,x1,y1,x2,y2,score\n2,0,1,5,6,0.5\n2,3,3,4,4,0.75\n7,0,0,1,1,0.25\n")
    report = read(tmp_path)
    assert report.track is not None
    assert report.track.values.tolist() == [0, 0, 0.75, 0, 0, 0, 0, 0.25]
    assert report.boxes[1] == Box(2, (3.0, 3.0, 4.0, 4.0), 0.75)
    assert len(report.boxes) == 3


def test_scores_that_are_no_probabilities_are_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([-4.0, 0.0, 12.0]))
    with pytest.raises(VideoError, match=r"score -4.*scores.lowest and scores.highest"):
        read(tmp_path)
    track = read(tmp_path, lowest=-4.0, highest=12.0).track
    assert track is not None
    assert track.values.tolist() == [0.0, 0.25, 1.0]
    with pytest.raises(ConfigError, match=r"scores\.lowest"):
        read(tmp_path, lowest=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one column"),
        ("0.1\n0.2,0.3\n", "in every line"),
        ("0,1,2\n", "in every line"),
        ("frame,score\n0,high\n", "v.csv:2"),
        ("0.5,0.3\n", "v.csv:1: 0.5 is no frame number"),
        ("8,0,0,1,1,0.5\n", "frame 8 is past the end"),
        ("-1,0.5\n", "is no frame number"),
    ],
)
def test_a_csv_in_another_layout_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(VideoError, match=message):
        read(tmp_path)


def test_a_npy_of_another_kind_is_refused(tmp_path: Path) -> None:
    for content in (np.zeros((2, 3)), np.array(["a"]), np.array([{}], dtype=object), np.zeros(0)):
        np.save(tmp_path / "v.npy", content, allow_pickle=True)
        with pytest.raises(VideoError, match=r"v\.npy"):
            read(tmp_path)
    (tmp_path / "v.npy").write_bytes(b"damaged")
    with pytest.raises(VideoError, match=r"v\.npy"):
        read(tmp_path)
