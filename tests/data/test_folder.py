from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vaa.data.folder import VideoFolder
from vaa.errors import VaaError


def test_videos_are_named_by_their_path_and_the_bad_ones_are_failures(clip: Path, tmp_path: Path) -> None:
    root = tmp_path / "clips"
    (root / "deep er").mkdir(parents=True)
    for name in ("b.mp4", "a.MP4", "deep er/b.mkv", "b.mov"):
        shutil.copy(clip, root / name)
    (root / "broken.mp4").write_text("no video")
    (root / "notes.txt").write_text("no video")
    found = VideoFolder("mine", str(root), "decord").load()
    assert {(v.id, v.path.name, v.n_frames, v.fps) for v in found.videos} == {
        ("a", "a.MP4", 25, 10.0),
        ("b.mov", "b.mov", 25, 10.0),
        ("b.mp4", "b.mp4", 25, 10.0),  # two files of one name: both keep their suffix
        ("deep er/b", "b.mkv", 25, 10.0),
    }
    assert [(failure.video, failure.stage) for failure in found.failures] == [("broken", "data")]
    assert "broken.mp4" in found.failures[0].reason
    assert (found.name, dict(found.truths)) == ("mine", {})


@pytest.mark.parametrize("name", [None, "notes.txt"])
def test_a_folder_that_holds_no_video_is_refused(tmp_path: Path, name: str | None) -> None:
    root = tmp_path / "clips"
    if name:
        root.mkdir()
        (root / name).touch()
    with pytest.raises(VaaError, match=r"data\.root=.*clips: no"):
        VideoFolder("mine", str(root), "decord").load()
