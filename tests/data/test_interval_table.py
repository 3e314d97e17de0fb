from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from making import write_timed

from vaa.data.folder import VideoFolder
from vaa.data.interval_table import read_interval_table
from vaa.errors import DataError
from vaa.frame_times import FrameTimes
from vaa.types import Box, Dataset, GroundTruth, Span, Video

ROOT = Path("clips")
STEADY = Video("gate/north", ROOT / "gate/north.mp4", 40_000, 10.0)
VARYING = Video("b.avi", ROOT / "b.avi", 5, 30.0, times=FrameTimes(np.array([0.0, 0.5, 1.0, 11.0, 11.5])))


def read(
    tmp_path: Path, text: str, *videos: Video, unusable: tuple[str, ...] = (), annotators: str = "majority"
) -> dict[str, GroundTruth]:
    file = tmp_path / "labels.csv"
    file.write_bytes(text.encode("utf-8"))
    return read_interval_table(file, ROOT, videos or (STEADY, VARYING), unusable, annotators)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("2", "3", (20, 29)),
        ("0:02.05", "00:03.0", (21, 29)),
        ("1:02:03.5", "1:02:04", (37_235, 37_239)),
        ("62:03.5", "62:04", (37_235, 37_239)),
        ("2.02", "2.03", (20, 20)),  # between two frames: the one that is shown then
        ("3999.9", "4000.9", (39_999, 39_999)),  # an end that is rounded up
    ],
)
def test_times_become_the_frames_that_are_shown_then(
    tmp_path: Path, start: str, end: str, span: tuple[int, int]
) -> None:
    truths = read(tmp_path, f"video,start,end,label\ngate/north,{start},{end},fight\n")
    assert truths["gate/north"] == GroundTruth((Span(span[0], span[1] + 1, "fight"),), "fight")


def test_a_written_interval_is_read_back_as_the_same_frames(tmp_path: Path) -> None:
    """Times with three decimals, as the page exports them; at 29.97 frames a second none is exact."""
    video = Video("a", ROOT / "a.mp4", 500, 30_000 / 1001)
    for first, stop in [(0, 1), (7, 100), (333, 500)]:
        row = f"a,{video.seconds(first):.3f},{video.end(stop):.3f}"
        assert read(tmp_path, f"video,start,end\n{row}\n", video)["a"].spans == (Span(first, stop, "Anomaly"),)


def test_where_the_rate_varies_frames_follow_the_times_of_the_file(tmp_path: Path) -> None:
    truths = read(tmp_path, "video,start,end,label\nb.avi,0.5,11.2,\nb.avi,5,6,pause\n")
    assert truths["b.avi"].spans == (Span(1, 4, "Anomaly"), Span(2, 3, "pause"))


def test_boxes_names_and_files_of_spreadsheets(tmp_path: Path) -> None:
    table = (
        '\ufeffvideo,start,end,label,x1,y1,x2,y2\r\n"gate\\north.mp4",3,3.2,"car, red",1,2,30,40.5\r\n'
        "./gate/north,1,1.1,fight,,,,\r\n,,,,,,,\r\nbroken.mp4,1,2,fight,,,,\r\n"
    )
    truths = read(tmp_path, table, unusable=("broken.mp4",))
    box = (1.0, 2.0, 30.0, 40.5)
    assert truths == {
        "gate/north": GroundTruth(
            spans=(Span(10, 11, "fight"), Span(30, 32, "car, red")),
            label="fight",
            boxes=(Box(30, box, 1.0), Box(31, box, 1.0)),
        ),
        "b.avi": GroundTruth((), "Normal"),
    }


def test_all_mistakes_of_a_table_are_named_with_their_lines(tmp_path: Path) -> None:
    rows = [
        "gate/nort,1,2,,,,,",
        "gate/north,1,2:75,,,,,",
        "gate/north,1,0:60:00,,,,,",
        "gate/north,1s,2,,,,,",
        "gate/north,2,2.0,,,,,",
        "gate/north,0:10,1:06:42,,,,,",
        "gate/north,1,2",
        "gate/north,1,2,,1,2,1,4",
        "gate/north,1,2,,1,2,3,",
        ",1,2,,,,,",
        "gate/north,nan,2,,,,,",
        "gate/north,-1,2,,,,,",
        "gate/north,1,2,fine,,,,",
    ]
    with pytest.raises(DataError) as error:
        read(tmp_path, "\n".join(["video,start,end,label,x1,y1,x2,y2", *rows]))
    lines = str(error.value).splitlines()
    assert [int(line.split(":")[1]) for line in lines] == list(range(2, len(rows) + 1))
    assert "gate/north" in lines[0]
    assert "4000.000 s" in lines[5]


@pytest.mark.parametrize(
    "header",
    ["", "video,start", "video;start;end", "video,start,end,x1", "video,start,end,end", "video,start,end,Score"],
)
def test_a_header_with_other_columns_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(DataError, match=r"labels\.csv:1: .*video,start,end,label"):
        read(tmp_path, f"{header}\n")


@pytest.mark.parametrize("content", [None, b"video,start,end\n\xff,1,2\n", b'video,start,end\n"a,1,2\n'])
def test_a_table_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "labels.csv"
    if content:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.labels=.*labels\.csv"):
        read_interval_table(file, ROOT, (STEADY,), ())


def test_a_folder_with_labels_has_the_truth_of_every_video(
    clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "clips"
    root.mkdir()
    shutil.copy(clip, root / "a.mp4")
    write_timed(root / "b.mp4", [0, 100, 200, 5000, 5100])
    (root / "broken.mp4").write_text("no video")
    table = root / "labels.csv"
    table.write_text("video,start,end,label\nb.mp4,5,6,fall\nbroken.mp4,1,2,fall\n")
    with caplog.at_level(logging.INFO, "vaa"):
        dataset: Dataset = VideoFolder(
            name="mine", root=str(root), labels=str(table), annotators="majority", decoder="pyav"
        ).load()
    assert dict(dataset.truths) == {"a": GroundTruth((), "Normal"), "b": GroundTruth((Span(3, 5, "fall"),), "fall")}
    assert [failure.video for failure in dataset.failures] == ["broken"]
    assert "1 of 2 videos" in caplog.text
    table.write_text("video,start,end,label\nc.mp4,5,6,fall\n")
    with pytest.raises(DataError, match=r"labels\.csv:2"):
        VideoFolder(name="mine", root=str(root), labels=str(table), annotators="majority", decoder="pyav").load()


def test_intervals_may_be_in_frames(tmp_path: Path) -> None:
    text = "video,start_frame,stop_frame,label\ngate/north,20,30,fight\ngate/north,39990,40001,\n"
    assert read(tmp_path, text)["gate/north"].spans == (Span(20, 30, "fight"), Span(39_990, 40_000, "Anomaly"))
    for row, message in [("40000,40001", "past the end"), ("1.5,3", "no frame number"), ("3,3", "not after the start")]:
        with pytest.raises(DataError, match=rf"labels\.csv:2: .*{message}"):
            read(tmp_path, f"video,start_frame,stop_frame\ngate/north,{row}\n")
    with pytest.raises(DataError, match="video,start_frame,stop_frame,label"):
        read(tmp_path, "video,start,stop_frame\n")


ANNOTATED = """video,start_frame,stop_frame,label,x1,y1,x2,y2,annotator
gate/north,10,20,fight,1,1,5,5,ann
gate/north,15,30,fall,2,2,6,6,bob
gate/north,50,52,fall,,,,,bob
gate/north,18,40,fall,,,,,eve
"""


@pytest.mark.parametrize(
    ("choice", "spans"),
    [
        ("majority", [(15, 30, "fall")]),
        ("any", [(10, 40, "fall"), (50, 52, "fall")]),
        ("all", [(18, 20, "fall")]),
        ("ann", [(10, 20, "fight")]),
    ],
)
def test_several_annotators(tmp_path: Path, choice: str, spans: list[tuple[int, int, str]]) -> None:
    truths = read(tmp_path, ANNOTATED, annotators=choice)
    truth = truths["gate/north"]
    assert truth.spans == tuple(Span(*span) for span in spans)
    assert truth.annotators["bob"] == (Span(15, 30, "fall"), Span(50, 52, "fall"))
    assert truths["b.avi"].spans == ()
    abnormal = {frame for start, stop, _ in spans for frame in range(start, stop)}
    assert {box.frame for box in truth.boxes} <= abnormal
    if choice == "ann":
        assert {box.xyxy for box in truth.boxes} == {(1.0, 1.0, 5.0, 5.0)}


def test_an_annotator_that_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.annotators=anne: .* ann, bob, eve\. Did you mean 'ann'"):
        read(tmp_path, ANNOTATED, annotators="anne")
    with pytest.raises(DataError, match="no column annotator"):
        read(tmp_path, "video,start,end\n", annotators="ann")
    with pytest.raises(DataError, match="2: names no annotator"):
        read(tmp_path, ANNOTATED.replace("ann\n", "\n"))
