from __future__ import annotations

import logging
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from making import write_timed

from vaa.data.folder import VideoFolder, _ids
from vaa.errors import DataError


def test_ids_are_paths_and_files_that_cannot_be_opened_are_failures(clip: Path, tmp_path: Path) -> None:
    root = tmp_path / "clips"
    (root / "deep er").mkdir(parents=True)
    for name in ("b.mp4", "a.MP4", "deep er/b.mkv", "b.mov"):
        shutil.copy(clip, root / name)
    (root / "broken.mp4").write_text("no video")
    (root / "notes.txt").write_text("no video")
    dataset = VideoFolder(name="mine", root=str(root), labels=None, annotators="majority", decoder="decord").load()
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
        VideoFolder(name="mine", root=str(root), labels=None, annotators="majority", decoder="decord").load()


def write(path: Path, codec: str, container: str) -> None:
    """Five pictures at 25 a second."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * k, np.uint8), format="rgb24")))
        file.mux(stream.encode())


def test_what_ffmpeg_can_open_is_a_video_whatever_its_suffix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kinds = {
        "cam.ts": ("libx264", "mpegts"),
        "cam.m2ts": ("libx264", "mpegts"),
        "cam.mpg": ("mpeg2video", "mpeg"),
        "cam.vob": ("mpeg2video", "vob"),
        "cam.wmv": ("wmv2", "asf"),
        "cam.flv": ("flv1", "flv"),
        "cam.3gp": ("mpeg4", "3gp"),
        "cam.mxf": ("mpeg2video", "mxf"),
        "cam.dat": ("mpeg2video", "mpeg"),
        "cam": ("libx264", "matroska"),
    }
    for name, kind in kinds.items():
        write(tmp_path / name, *kind)
    (tmp_path / "cam.txt").touch()
    (tmp_path / "cam.xyz").write_bytes(bytes(range(256)) * 9)
    with caplog.at_level(logging.INFO, "vaa"):
        dataset = VideoFolder(
            name="mine", root=str(tmp_path), labels=None, annotators="majority", decoder="pyav"
        ).load()
    assert dataset.failures == []
    assert {video.id: video.n_frames for video in dataset.videos} == dict.fromkeys(kinds, 5)
    assert dataset.left_out == 2
    assert "not a video by the suffix (1): cam.txt" in caplog.text
    assert "no video stream in it (1): cam.xyz" in caplog.text


def test_linked_folders_are_searched_and_a_linked_video_that_is_missing_is_a_failure(
    clip: Path, tmp_path: Path
) -> None:
    for path in ("nas/gate/cam.mp4", "clips/yard/cam.mp4", "clips/cam.mp4"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / path)
    (tmp_path / "clips/linked").symlink_to(tmp_path / "nas")
    (tmp_path / "clips/old.mp4").symlink_to(tmp_path / "deleted.mp4")
    dataset = VideoFolder(
        name="mine", root=str(tmp_path / "clips"), labels=None, annotators="majority", decoder="decord"
    ).load()
    assert [video.id for video in dataset.videos] == ["cam", "linked/gate/cam", "yard/cam"]
    assert [(failure.video, "leads nowhere" in failure.reason) for failure in dataset.failures] == [("old.mp4", True)]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["a.mp4", "b.mp4"], ["a", "b"]),
        (["cam1.avi", "cam1.mp4"], ["cam1.avi", "cam1.mp4"]),
        (["x/cam.mp4", "y/cam.mp4"], ["x/cam", "y/cam"]),
        (["cam1.avi", "cam1.mp4", "cam1.mp4.mp4"], ["cam1.avi", "cam1.mp4", "cam1.mp4.mp4"]),
        (["cam", "cam.mp4"], ["cam", "cam.mp4"]),
        (["cam"], ["cam"]),
        (["a.MP4", "a.mp4"], ["a.MP4", "a.mp4"]),
        (["a", "a.mp4", "a.mp4.ts"], ["a", "a.mp4", "a.mp4.ts"]),
    ],
)
def test_no_two_files_have_one_id(names: list[str], ids: list[str]) -> None:
    assert _ids(Path("root"), [Path("root") / name for name in names]) == ids


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_a_video_whose_rate_varies_has_the_times_of_its_frames(clip: Path, tmp_path: Path, decoder: str) -> None:
    root = tmp_path / "clips"
    root.mkdir()
    shutil.copy(clip, root / "constant.mp4")
    write_timed(root / "motion.mp4", [*range(0, 1000, 100), *range(11_000, 12_000, 100)])
    constant, motion = (
        VideoFolder(name="mine", root=str(root), labels=None, annotators="majority", decoder=decoder).load().videos
    )
    assert (constant.id, constant.times) == ("constant", None)
    assert [motion.seconds(frame) for frame in (9, 10, 15, 20)] == [0.9, 11.0, 11.5, 12.0]


def test_a_file_that_does_not_say_when_its_frames_are_shown_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "one.ts", "libx264", "mpegts")
    (tmp_path / "joined.ts").write_bytes(2 * (tmp_path / "one.ts").read_bytes())
    write(tmp_path / "raw.h264", "libx264", "h264")
    dataset = VideoFolder(name="mine", root=str(tmp_path), labels=None, annotators="majority", decoder="pyav").load()
    assert {video.id: video.n_frames for video in dataset.videos} == {"joined": 10, "one": 5, "raw": 5}
    warnings = [record.getMessage() for record in caplog.records if "average rate" in record.getMessage()]
    assert [Path(text.split(": ")[0]).name for text in warnings] == ["joined.ts", "raw.h264"]
