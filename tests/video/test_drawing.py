from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import VideoError
from vaa.types import Box, Video
from vaa.video import sources as videos
from vaa.video.drawing import draw

BOXES = (Box(5, (20.0, 10.0, 60.0, 40.0), 0.8), Box(10, (60.0, 40.0, 20.0, 10.0), 0.9))  # the second reversed


def changed(video: Video, copy: Video, frame: int) -> bool:
    """Whether the frame is marked in red where the boxes are: far above what coding the copy again changes."""
    before, after = (videos.frames(v, [frame], "decord")[0].astype(int) for v in (video, copy))
    edge = np.s_[8:13, 18:63]
    redder = (after[edge][..., 0] - after[edge][..., 2]) - (before[edge][..., 0] - before[edge][..., 2])
    return bool(redder.max() > 100)


@pytest.mark.parametrize(("hold", "marked"), [(False, [5, 10]), (True, list(range(5, 25)))], ids=["its frame", "held"])
def test_boxes_are_drawn_on_their_frames(clip: Path, tmp_path: Path, hold: bool, marked: list[int]) -> None:
    video = Video("my/clip", clip, 25, 10.0)
    copy = draw(video, BOXES, tmp_path / "drawn", hold, "decord")
    assert videos.probe(copy.path, "pyav") == (25, 10.0)
    assert [frame for frame in range(25) if changed(video, copy, frame)] == marked
    assert copy.path.parent == tmp_path / "drawn"


def test_edges_far_out_of_the_frame_are_no_hindrance(clip: Path, tmp_path: Path) -> None:
    video, began = Video("v", clip, 25, 10.0), time.monotonic()
    far = (Box(5, (20.0, 10.0, 1e300, 1e9), 0.8), Box(6, (-1e300, -1e9, 1e12, 1e12), 0.9))
    copy = draw(video, far, tmp_path, False, "decord")
    assert time.monotonic() - began < 5
    assert [frame for frame in range(25) if changed(video, copy, frame)] == [5]  # of the other, no edge is inside


def test_a_copy_that_is_there_is_not_made_again(clip: Path, tmp_path: Path) -> None:
    video = Video("v", clip, 25, 10.0)
    first = draw(video, BOXES, tmp_path, False, "decord")
    written = first.path.stat().st_mtime_ns
    assert draw(video, BOXES, tmp_path, False, "decord").path.stat().st_mtime_ns == written
    assert draw(video, BOXES[:1], tmp_path, False, "decord").path != first.path


def test_a_video_that_cannot_be_decoded_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        draw(Video("bad", tmp_path / "bad.mp4", 25, 10.0), BOXES, tmp_path / "drawn", False, "decord")
    assert list((tmp_path / "drawn").iterdir()) == []
