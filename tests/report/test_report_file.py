from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from vaa.frame_times import FrameTimes
from vaa.report import report_file
from vaa.report.files import write_json
from vaa.types import (
    Box,
    Definition,
    DefinitionTrack,
    GroundTruth,
    Judgement,
    Report,
    Response,
    ScoreTrack,
    Segment,
    SuspiciousWindow,
    Video,
)

VIDEO = Video("v", Path("videos/v.mp4"), 100, 30.0)
TRUTH = GroundTruth((), "Normal")


def assert_equal(a: Any, b: Any) -> None:
    """Equality of nested dataclasses, where arrays are equal by value and NaN equals NaN."""
    assert type(a) is type(b)
    if is_dataclass(a):
        for field in fields(a):
            assert_equal(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b or (math.isnan(a) and math.isnan(b))


def round_trip(folder: Path, history: Mapping[str, Report]) -> tuple[Report, dict[str, Report]]:
    write_json(folder / "v.json", report_file.encode(VIDEO, history))
    return report_file.decode(orjson.loads((folder / "v.json").read_bytes()), TRUTH)


def test_reports_read_back_equal_those_written(tmp_path: Path) -> None:
    start = Report(VIDEO, truth=TRUTH)
    definition = Definition(name="fall", wording="a fall", exceptions=("yoga",))
    history = {
        "window": replace(
            start,
            definition=definition,
            segments=(Segment(0, 50, (0, 25), 0, (0.0, 0.5)), Segment(50, 100, (50, 75), 50)),
        )
    }
    responses = (Response("Normal. Größe", 0.25, "Größe"), Response("?", math.nan, "?", "<think>Hm.</think>", "fall"))
    history["ask"] = replace(history["window"], responses=responses, n_answers=2, n_unparsed=1, first_unparsed="v: '?'")
    history["nothing"] = history["ask"]
    track = ScoreTrack(np.array([0.25, math.nan]), np.array([0, 50], dtype=np.int64))
    window = SuspiciousWindow((0, 50), 0.25, (50, 100), math.nan, 0.0, 0.25, math.nan)
    history["score"] = replace(history["ask"], track=track, suspicious_window=window, gated=True, tags="a, b")
    history["score"] = replace(history["score"], all_tags="a, b")
    history["score"] = replace(history["score"], definition_tracks=(DefinitionTrack("fall", track),))
    boxes = (Box(3, (0.5, 1.0, 2.0, 3.0), 0.75), Box(4, (0.0, 1.0, 2.0, 3.0), math.nan))
    drawn = Video("v", Path("drawn/v.mp4"), 100, 30.0)
    history["locate"] = replace(
        history["score"], boxes=boxes, located_frames=(3, 4, 5), drawn_video=drawn, first_frame=50
    )
    judgement = Judgement(0.5, math.nan, 1.0)
    history["judge"] = replace(history["locate"], summary="A fight.", judgement=judgement, track=track.per_frame(100))
    history["reset"] = replace(history["judge"], track=None, gated=None, judgement=None, boxes=())
    assert {field.name for field in fields(Report)} == {
        field.name for field in fields(Report) if getattr(history["judge"], field.name) not in ((), "", None, 0)
    }  # every field is set by some stage
    first, read = round_trip(tmp_path, history)
    assert_equal(first, start)
    assert list(read) == list(history)
    for stage, report in history.items():
        assert_equal(read[stage], report)


def test_a_video_reads_back_with_its_source_and_as_a_file_if_none_was_written(tmp_path: Path) -> None:
    video = replace(VIDEO, path=Path("frames/v"), source="images")
    write_json(tmp_path / "v.json", report_file.encode(video, {"window": Report(video)}))
    content = orjson.loads((tmp_path / "v.json").read_bytes())
    assert report_file.decode(content, None)[0].video == report_file.decode_track(content).video == video
    del content["video"]["source"]
    assert report_file.decode(content, None)[0].video.source == "file"


@pytest.mark.parametrize(
    "starts", [[], [0], [8], [0, 30, 60], [8, 24, 40], [0, 7, 9], list(range(100)), list(range(70))], ids=len
)
@pytest.mark.parametrize("seed", range(3))
def test_tracks_read_back_equal_those_written(tmp_path: Path, starts: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).random(len(starts)).round(1)
    report = Report(VIDEO, track=ScoreTrack(values, np.array(starts, dtype=np.int64)), truth=TRUTH)
    _, read = round_trip(tmp_path, {"score": report})
    assert_equal(read["score"], report)


def test_times_are_written_where_the_rate_varies_and_read_back(tmp_path: Path) -> None:
    video = replace(VIDEO, times=FrameTimes(np.array([0.0, 0.0333, 1.5])))
    drawn = replace(video, id="v with boxes")
    history = {"draw": Report(video, drawn_video=drawn)}
    write_json(tmp_path / "v.json", report_file.encode(video, history))
    content = orjson.loads((tmp_path / "v.json").read_bytes())
    assert content["video"]["times"] == [0.0, 0.0333, 1.5]
    start, read = report_file.decode(content, TRUTH)
    assert_equal(start.video, video)
    assert_equal(read["draw"].drawn_video, drawn)
    assert_equal(report_file.decode_track(content).video, video)
    assert list(report_file.encode(VIDEO, {})["video"]) == ["id", "path", "n_frames", "fps", "source"]
