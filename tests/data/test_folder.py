from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vaa.data.folder import VideoFolder
from vaa.errors import DataError


def test_ids_are_paths_and_files_that_cannot_be_opened_are_failures(clip: Path, tmp_path: Path) -> None:
    root = tmp_path / "clips"
    (root / "deep er").mkdir(parents=True)
    for name in ("b.mp4", "a.MP4", "deep er/b.mkv", "b.mov"):
        shutil.copy(clip, root / name)
    (root / "broken.mp4").write_text("no video")
    (root / "notes.txt").write_text("no video")
    dataset = VideoFolder(name="mine", root=str(root), decoder="decord").load()
    assert {(v.id, v.path.name, v.n_frames, v.fps) for v in dataset.videos} == {
        ("a", "a.MP4", 25, 10.0),
        ("b.mov", "b.mov", 25, 10.0),
        ("b.mp4", "b.mp4", 25, 10.0),  # two files of one name: both ids have the suffix
        ("deep er/b", "b.mkv", 25, 10.0),
    }
    assert [(failure.video, failure.stage) for failure in dataset.failures] == [("broken", "data")]
    assert "broken.mp4" in dataset.failures[0].reason
    assert (dataset.name, dict(dataset.truths)) == ("mine", {})


@pytest.mark.parametrize("name", [None, "notes.txt"])
def test_a_folder_without_a_video_is_an_error(tmp_path: Path, name: str | None) -> None:
    root = tmp_path / "clips"
    if name:
        root.mkdir()
        (root / name).touch()
    with pytest.raises(DataError, match=r"data\.root=.*clips: no"):
        VideoFolder(name="mine", root=str(root), decoder="decord").load()
