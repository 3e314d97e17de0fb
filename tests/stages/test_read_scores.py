from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vaa.data.annotated import AnnotatedDataset
from vaa.errors import ConfigError, VideoError
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.stages.read_scores import ReadScores
from vaa.types import Report, Video

REPORT = Report(Video("v", Path("v.mp4"), 64, 30.0))


def write(folder: Path, content: object, name: str = "v.json") -> ReadScores:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return ReadScores(root=str(folder), field="refined", step=1, lowest=0.0, highest=1.0)


@pytest.mark.parametrize("name", ["v.json", "v.mp4.json"])
def test_scores_are_sorted_by_frame(tmp_path: Path, name: str) -> None:
    report = write(tmp_path, {"16": 0.5, "0": 0.1, "112": 1, "32": 0}, name)(REPORT)
    assert report.track is not None
    assert report.track.starts.tolist() == [0, 16, 32, 112]
    assert report.track.values.tolist() == [0.1, 0.5, 0.0, 1.0]
    assert (report.n_answers, report.n_unparsed) == (4, 0)


def test_scores_may_be_in_objects_as_vera_writes_them(tmp_path: Path) -> None:
    entries = {"0": {"start": 0.0, "end": 150, "score": 1}, "16": {"start": 0, "end": 166, "score": 0.25}}
    report = write(tmp_path, entries)(REPORT)
    assert report.track is not None
    assert report.track.values.tolist() == [1.0, 0.25]


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
        ({"0": {"start": 0}}, "not a JSON mapping"),
        ({"0": {"score": "high"}}, "not a JSON mapping"),
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
        ReadScores(root=str(tmp_path), field="refined", step=1, lowest=0.0, highest=1.0)(REPORT)


def all_videos(folder: Path, **scores: object) -> ReadScores:
    """A stage that reads a file in VADTree's layout."""
    file = folder / "scores.json"
    file.write_text(json.dumps({"vid_score": {f"{name}.mp4": entry for name, entry in scores.items()}}))
    return ReadScores(root=str(file), field="refined", step=1, lowest=0.0, highest=1.0)


@pytest.mark.parametrize("name", ["v__1.json", "v__1.mp4.json", "v__#1.json"])
def test_names_of_files_may_lack_the_hash(tmp_path: Path, name: str) -> None:
    report = write(tmp_path, {"0": 0.5}, name)(Report(Video("v__#1", Path("v.mp4"), 64, 30.0)))
    assert report.track is not None


def test_a_file_of_all_videos_has_scores_per_frame(tmp_path: Path) -> None:
    report = all_videos(tmp_path, u=[0.1], v=[0.5, None, 0.7, 0.9])(REPORT)
    assert report.track is not None
    assert report.track.starts.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(report.track.values, [0.5, 0.6, 0.7, 0.9], atol=1e-15)
    assert (report.n_answers, report.n_unparsed) == (4, 1)


def test_node_scores_are_expanded_to_frames(tmp_path: Path) -> None:
    """The frame that two nodes share is the later one's, and the last frame of the last node is its own."""
    report = all_videos(tmp_path, v={"0, 2": [0.1, 0.9, "text"], "2, 3": [0.2], "3, 6": [-1]})(REPORT)
    assert report.track is not None
    frames = report.track.per_frame(64)
    assert (frames.starts.tolist(), frames.values.tolist()) == (list(range(7)), [0.1, 0.1, *[0.2] * 5])
    assert (report.n_answers, report.n_unparsed) == (3, 1)


@pytest.mark.parametrize("last", [63, 64, 999_999_999])
def test_nodes_past_the_end_of_the_video_are_cut(tmp_path: Path, last: int) -> None:
    report = all_videos(tmp_path, v={"0, 60": 0.1, f"60, {last}": 0.2})(REPORT)
    assert report.track is not None
    assert report.track.values.tolist() == [0.1] * 60 + [0.2] * 4


def test_errors_in_a_file_of_all_videos_name_the_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"scores\.json has no 'v'"):
        all_videos(tmp_path, u=[0.1])(REPORT)
    with pytest.raises(VideoError, match=r"scores\.json, v: frame 1 has the score 1\.5"):
        all_videos(tmp_path, v=[0.1, 1.5])(REPORT)


@pytest.mark.parametrize(
    ("data", "file", "roc_auc", "pr_auc"),
    [
        ("MSAD", "ensemble/scores.json", 0.8932, 0.7141),
        ("MSAD", "coarse/refined.json", 0.8701, 0.6822),
        ("MSAD", "fine/refined.json", 0.8671, 0.6899),
        ("UCF", "coarse/refined.json", 0.8281, 0.3248),  # the released 0.8276, 0.3247 pass scores through a sigmoid
        ("UCF", "coarse/refined_tau1.json", 0.8242, 0.3264),
    ],
)
def test_vadtrees_released_scores_give_its_released_numbers(
    shared: Path, data: str, file: str, roc_auc: float, pr_auc: float
) -> None:
    root = shared / "recorded/vadtree" / data
    dataset = AnnotatedDataset(
        name=data, root=str(root), index="annotations/anomaly_test.txt", spans="annotations/Temporal*.txt",
        videos="videos", boxes="none", texts="none", fps=30.0, file_fps=True, base=0,
    ).load()  # fmt: skip
    stage = ReadScores(root=str(root / file), field="refined", step=1, lowest=0.0, highest=1.0)
    protocol = Protocol(
        name="lavad",
        labels=None,
        end_inclusive=True,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    reports = {video.id: stage(Report(video)) for video in dataset.videos}
    metrics = evaluate(result=RunResult(reports), dataset=dataset, protocol=protocol).metrics
    assert (round(metrics["roc_auc"], 4), round(metrics["pr_auc"], 4)) == (roc_auc, pr_auc)


def test_a_missing_folder_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder") as error:
        ReadScores(root=str(tmp_path / "nowhere"), field="refined", step=1, lowest=0.0, highest=1.0)
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
