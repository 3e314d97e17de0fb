from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vaa.data.base import VIDEO_SUFFIXES
from vaa.data.search import HIDDEN, NOT_VIDEO, RESULTS, SYSTEM, Search, is_video, search


def names(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def left_out(found: Search) -> dict[str, str]:
    return {entry.path.relative_to(found.root).as_posix(): entry.reason for entry in found.left_out}


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_each_suffix_of_a_video_is_taken_in_either_case(tmp_path: Path) -> None:
    streams, containers = (".ts", ".mts", ".m2ts", ".vob", ".dav"), (".mpg", ".mpeg", ".wmv", ".asf", ".flv", ".3gp")
    wanted = {*streams, *containers, ".mxf", ".ogv", ".webm", ".mp4", ".avi", ".mkv", ".mov", ".m4v"}
    assert wanted <= set(VIDEO_SUFFIXES)
    touch(tmp_path, *(f"a/{suffix[1:]}{suffix}" for suffix in VIDEO_SUFFIXES), "b/CAM.TS", "b/CAM.Wmv")
    assert len(search(tmp_path).videos) == len(VIDEO_SUFFIXES) + 2


def test_what_is_not_taken_is_listed_with_its_reason(tmp_path: Path) -> None:
    touch(
        tmp_path, "a.mp4", ".b.mp4", "._a.mp4", ".cache/c.mp4", ".DS_Store", "a.srt", "frames/1.jpg", "lost+found/x.mp4"
    )
    touch(tmp_path, "@eaDir/a.mp4/SYNOVIDEO.mp4", "recording", "recording.bin")
    touch(tmp_path, "outputs/drawn/a.mp4", "my run/.hydra/config.yaml", "my run/a.mp4", "b/outputs/taken.mp4")
    (tmp_path / "source.ts").write_text("export const answer: number = 42;\n")
    (tmp_path / "gone").symlink_to(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe.sock")
    found = search(tmp_path)
    assert names(tmp_path, found.videos) == ["a.mp4", "b/outputs/taken.mp4"]
    assert names(tmp_path, found.unknown) == ["recording", "recording.bin"]
    assert left_out(found) == {
        **dict.fromkeys((".b.mp4", "._a.mp4", ".cache"), HIDDEN),
        **dict.fromkeys((".DS_Store", "a.srt", "frames/1.jpg", "source.ts"), NOT_VIDEO),
        **dict.fromkeys(("lost+found", "@eaDir"), SYSTEM),
        **dict.fromkeys(("my run", "outputs"), RESULTS),
        "gone": "a link that leads nowhere",
        "pipe.sock": "not a file",
    }
    assert found.unreadable == []


def test_a_linked_video_that_is_missing_is_listed_as_unreadable(tmp_path: Path) -> None:
    (tmp_path / "cam.mp4").symlink_to(tmp_path / "missing.mp4")
    (tmp_path / "itself.mp4").symlink_to("itself.mp4")
    assert names(tmp_path, [entry.path for entry in search(tmp_path).unreadable]) == ["cam.mp4", "itself.mp4"]


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root, nas = tmp_path / "clips", tmp_path / "nas"
    touch(tmp_path, "clips/cam1.mp4", "clips/deep/er/cam2.mp4", "nas/a/cam3.mp4", "nas/cam4.mp4")
    (root / "a link").symlink_to(nas)  # before `deep` in the order of names
    (root / "deep/up").symlink_to(root)
    (root / "deep/parent").symlink_to(tmp_path)
    (root / "again").symlink_to(root / "deep")
    (nas / "a/back").symlink_to(nas, target_is_directory=True)
    found = search(root)
    assert names(root, found.videos) == ["a link/a/cam3.mp4", "a link/cam4.mp4", "cam1.mp4", "deep/er/cam2.mp4"]
    assert sorted(left_out(found)) == ["a link/a/back", "again", "deep/parent", "deep/up"]
    assert all("searched already or contains" in reason for reason in left_out(found).values())


def test_a_root_that_is_a_link_itself_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, "nas/cam.mp4")
    (tmp_path / "clips").symlink_to("nas")
    assert names(tmp_path, search(tmp_path / "clips").videos) == ["clips/cam.mp4"]


def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.mp4", "locked/b.mp4")
    scandir: Callable[[Any], Any] = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":  # root may read everything: permissions would not do
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = search(tmp_path)
    assert names(tmp_path, found.videos) == ["a.mp4"]
    assert [(entry.path.name, entry.reason) for entry in found.unreadable] == [
        ("locked", "the folder cannot be read: Permission denied")
    ]


def test_a_file_is_recognised_by_its_content(tmp_path: Path, clip: Path) -> None:
    recording = clip.rename(tmp_path / "recording")
    picture, sound, text = tmp_path / "picture.x", tmp_path / "sound.x", tmp_path / "text.x"
    with av.open(str(picture), "w", format="image2") as file:
        stream = file.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = 8, 8, "rgb24"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")))
    with av.open(str(sound), "w", format="wav") as file:
        file.mux(file.add_stream("pcm_s16le", rate=8000).encode(silence()))
    text.write_text("a text, which FFmpeg can draw as a video\n" * 99)
    playlist = tmp_path / "list.x"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{recording}\n#EXT-X-ENDLIST\n")
    (tmp_path / "empty.x").touch()
    files = [recording, picture, sound, text, playlist, tmp_path / "empty.x"]
    assert [file.name for file in files if is_video(file)] == ["recording"]


def silence() -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
    frame.sample_rate = 8000
    return frame
