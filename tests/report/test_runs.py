from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import VaaError
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import files, runs
from vaa.types import Dataset, GroundTruth, Report, ScoreTrack, Span, Video

PROTOCOL = Protocol("p", None, True, "pr_auc", "float16", 0.0)


def written(folder: Path, track: ScoreTrack | None, n_frames: int = 100) -> Report:
    video = Video("a/b #1", Path("v.mp4"), n_frames, 30.0)
    report = Report(video, track=track)
    result = RunResult({video.id: report}, {video.id: {"score": report, "keep": replace(report, n_unparsed=1)}})
    dataset = Dataset("ours", (video,), {video.id: GroundTruth((Span(3, 9, "x"), Span(90, 120, "x")), "x")}, ())
    files.write(folder, result, ["mind the gap"])
    files.write_truth(folder, result, dataset, PROTOCOL)
    files.write_metrics(folder, {"roc_auc": 0.5})
    return report


@pytest.mark.parametrize("starts", [[0, 30, 60], [0, 16, 32], [0], [8, 24, 40], list(range(100)), list(range(70))])
def test_scores_and_labels_come_back_as_they_were_counted(tmp_path: Path, starts: list[int]) -> None:
    values = np.random.default_rng(0).random(len(starts)).round(1)
    report = written(tmp_path, ScoreTrack(values, np.array(starts, dtype=np.int64)))
    run = runs.Run(tmp_path)
    found = run.scores("a/b #1")
    assert found is not None
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, PROTOCOL.frame_scores(report))
    labels = run.labels("a/b #1")
    np.testing.assert_array_equal(labels, PROTOCOL.frame_labels(report.video, (Span(3, 9, ""), Span(90, 120, ""))))
    assert (run.videos, run.notices, run.metrics) == (["a/b #1"], ["mind the gap"], {"roc_auc": 0.5})


def test_a_video_without_scores_has_none(tmp_path: Path) -> None:
    written(tmp_path, None)
    assert runs.Run(tmp_path).scores("a/b #1") is None


def test_runs_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "2", "1"):
        written(tmp_path / "sweep" / name, None)
    assert [run.folder.name for run in runs.find([tmp_path / "sweep"])] == ["1", "2", "10"]
    assert [run.folder.name for run in runs.find([tmp_path / "sweep" / "2"])] == ["2"]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(VaaError, match="no run of vaa"):
        runs.find([tmp_path])
    with pytest.raises(VaaError, match=r"truth\.json"):
        _ = runs.Run(tmp_path).truth
