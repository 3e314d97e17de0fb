from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.frame_times import FrameTimes
from vaa.pipeline import RunResult
from vaa.tracking.tables import segment_rows, video_rows
from vaa.types import Dataset, DefinitionTrack, Report, Response, ScoreTrack, Segment, Video

PROTOCOL = Protocol(
    name="p", labels=None, end_inclusive=True, precision="float64", pad=0.0, smooth=0.0, transform="none", metrics={}
)
MOTION = FrameTimes(np.concatenate([np.arange(100) / 10, 110 + np.arange(100) / 10]))


@pytest.mark.parametrize(
    ("times", "length", "peak", "segments"),
    [(MOTION, 120.0, 117.4, [0.0, 5.0, 110.0, 115.0]), (None, 120.0, 104.4, [0.0, 30.0, 60.0, 90.0])],
    ids=["own times", "average rate"],
)
def test_seconds_are_the_times_of_the_frames(
    times: FrameTimes | None, length: float, peak: float, segments: list[float]
) -> None:
    starts = np.arange(0, 200, 50)
    report = Report(
        Video("motion", Path("v.mp4"), 200, 200 / 120, times=times),
        tuple(Segment(k, k + 50, (k,), k) for k in starts.tolist()),
        (Response("scene", 0.5, "scene"),) * 4,
        ScoreTrack(np.array([0.1, 0.2, 0.3, 0.9]), starts),
    )
    result = RunResult({"motion": report}, {"motion": {"score": report}})
    evaluation = evaluate(result=result, dataset=Dataset("ours", (), {}, ()), protocol=PROTOCOL)
    (row,) = video_rows(evaluation, [report.video], "decord", 0)
    assert (row["seconds"], row["peak_second"]) == (length, peak)
    assert [row["second"] for row in segment_rows(evaluation, 10)[0]] == segments


def test_segments_have_the_scores_of_each_definition_and_the_name_of_the_highest() -> None:
    starts = np.arange(0, 100, 50)
    tracks = (
        DefinitionTrack("fire", ScoreTrack(np.array([0.1, 0.8]), starts)),
        DefinitionTrack("a fall", ScoreTrack(np.array([0.3, 0.2]), starts)),
    )
    report = Report(
        Video("v", Path("v.mp4"), 100, 10.0),
        tuple(Segment(k, k + 50, (k,), k) for k in starts.tolist()),
        (Response("", 0.3, "", definition="a fall"), Response("", 0.8, "", definition="fire")),
        ScoreTrack(np.array([0.3, 0.8]), starts),
        definition_tracks=tracks,
    )
    result = RunResult({"v": report}, {"v": {"ask": report}})
    evaluation = evaluate(result=result, dataset=Dataset("ours", (), {}, ()), protocol=PROTOCOL)
    rows, _ = segment_rows(evaluation, 10)
    names = ("definition", "watch_for fire", "watch_for a fall")
    assert [[row[name] for name in names] for row in rows] == [["a fall", 0.1, 0.3], ["fire", 0.8, 0.2]]
