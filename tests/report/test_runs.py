from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import DataError
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import files, runs
from vaa.types import Box, Dataset, Failure, GroundTruth, Report, ScoreTrack, Span, Video

PROTOCOL = Protocol(
    name="p", labels=None, end_inclusive=True, precision="float16", pad=0.0, smooth=0.0, transform="none", metrics={}
)


def written(folder: Path, track: ScoreTrack | None, n_frames: int = 100) -> Report:
    video = Video("a/b #1", Path("v.mp4"), n_frames, 30.0)
    boxes = (Box(3, (1.0, 2.0, 3.0, 4.0), 1.0, track=2), Box(4, (1.0, 2.0, 3.0, 4.0), 1.0))
    truth = GroundTruth((Span(3, 10, "x"), Span(90, 121, "x")), "x", boxes)
    report = Report(video, track=track, truth=truth)
    history = {"score": report, "keep": replace(report, n_unparsed=1)}
    result = RunResult({video.id: history["keep"]}, {video.id: history}, [Failure("c", "ask", "damaged")])
    dataset = Dataset("ours", (video,), {video.id: truth}, ())
    files.write_results(folder, result, ["a notice"])
    files.write_truth(folder, evaluate(result=result, dataset=dataset, protocol=PROTOCOL))
    files.write_metrics(folder, "p", {"roc_auc": 0.5})
    return report


@pytest.mark.parametrize("starts", [[0, 30, 60], [0, 16, 32], [0], [8, 24, 40], list(range(100)), list(range(70))])
def test_scores_and_labels_are_read_as_they_were_counted(tmp_path: Path, starts: list[int]) -> None:
    values = np.random.default_rng(0).random(len(starts)).round(1)
    report = written(tmp_path, ScoreTrack(values, np.array(starts, dtype=np.int64)))
    run = runs.Run(tmp_path)
    evaluation = run.evaluation
    scores = evaluation.scores["a/b #1"]
    assert scores.dtype == np.float16
    np.testing.assert_array_equal(scores, PROTOCOL.frame_scores(report))
    labels = evaluation.labels["a/b #1"]
    np.testing.assert_array_equal(labels, PROTOCOL.frame_labels(report.video, (Span(3, 10, ""), Span(90, 121, ""))))
    assert (run.videos, run.notices, run.metrics) == (["a/b #1"], ["a notice"], {"roc_auc": 0.5})
    assert (evaluation.data, evaluation.protocol) == ("ours", PROTOCOL)
    assert evaluation.truths == {"a/b #1": report.truth}
    assert (run.failures, evaluation.reports["a/b #1"].n_unparsed) == ([Failure("c", "ask", "damaged")], 1)


def test_a_video_without_scores_has_none(tmp_path: Path) -> None:
    written(tmp_path, None)
    assert runs.Run(tmp_path).evaluation.scores == {}


def test_runs_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "2", "1"):
        written(tmp_path / "sweep" / name, None)
    assert [run.folder.name for run in runs.find_runs([tmp_path / "sweep"])] == ["1", "2", "10"]
    assert [run.folder.name for run in runs.find_runs([tmp_path / "sweep" / "2"])] == ["2"]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.json"):
        runs.find_runs([tmp_path])
    with pytest.raises(DataError, match=r"truth\.json"):
        _ = runs.Run(tmp_path).truth
