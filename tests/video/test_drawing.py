from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from making import write_timed

from vaa.errors import VideoError
from vaa.types import Box, Video
from vaa.video import sources
from vaa.video.drawing import draw

BOXES = (
    Box(5, (20.0, 10.0, 60.0, 40.0), 0.8),
    Box(10, (60.0, 40.0, 20.0, 10.0), 0.9),
)  # the second with reversed corners


def has_box(video: Video, copy: Video, frame: int) -> bool:
    """Whether the frame is much more green at the boxes' edges than encoding the copy again explains."""
    before, after = (sources.frames(v, [frame], "decord")[0].astype(int) for v in (video, copy))
    edge = np.s_[8:13, 18:63]
    greener = (after[edge][..., 1] - after[edge][..., 0]) - (before[edge][..., 1] - before[edge][..., 0])
    return bool(greener.max() > 100)


@pytest.mark.parametrize(
    ("hold", "marked"), [(False, [5, 10]), (True, list(range(5, 25)))], ids=["one frame", "until the next"]
)
def test_boxes_are_drawn_on_their_frames(clip: Path, tmp_path: Path, hold: bool, marked: list[int]) -> None:
    video = Video("my/clip", clip, 25, 10.0)
    copy = draw(video, BOXES, tmp_path / "drawn", hold, "decord")
    assert sources.probe(copy.path, "pyav") == sources.VideoInfo(25, 10.0)
    assert [frame for frame in range(25) if has_box(video, copy, frame)] == marked
    assert copy.path.parent == tmp_path / "drawn"


def test_edges_far_outside_the_frame_take_no_time(clip: Path, tmp_path: Path) -> None:
    video, start = Video("v", clip, 25, 10.0), time.monotonic()
    far = (Box(5, (20.0, 10.0, 1e300, 1e9), 0.8), Box(6, (-1e300, -1e9, 1e12, 1e12), 0.9))
    copy = draw(video, far, tmp_path, False, "decord")
    assert time.monotonic() - start < 300  # drawn as they are, such edges take hours
    assert [frame for frame in range(25) if has_box(video, copy, frame)] == [5]  # all edges of the other are outside


def test_an_existing_copy_is_not_made_again(clip: Path, tmp_path: Path) -> None:
    video = Video("v", clip, 25, 10.0)
    first = draw(video, BOXES, tmp_path, False, "decord")
    modified = first.path.stat().st_mtime_ns
    assert draw(video, BOXES, tmp_path, False, "decord").path.stat().st_mtime_ns == modified
    assert draw(video, BOXES[:1], tmp_path, False, "decord").path != first.path


def test_a_video_that_cannot_be_decoded_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        draw(Video("bad", tmp_path / "bad.mp4", 25, 10.0), BOXES, tmp_path / "drawn", False, "decord")
    assert list((tmp_path / "drawn").iterdir()) == []


def test_the_copy_of_a_varying_rate_has_its_times(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "v.mp4", [*range(0, 1000, 100), *range(11_000, 12_000, 100)])
    info = sources.probe(path, "decord")
    assert info.times is not None
    copy = draw(Video("v", path, info.n_frames, info.fps, times=info.times), BOXES, tmp_path / "drawn", False, "decord")
    assert copy.times is info.times
    drawn = sources.probe(copy.path, "decord")
    assert drawn.times is not None
    np.testing.assert_allclose(drawn.times.values, info.times.values, atol=1e-3)
