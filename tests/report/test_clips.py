from __future__ import annotations

import errno
from pathlib import Path

import av
import numpy as np
import pytest
from odd_videos import RATE, N, codes, picture, plain, variable_rate
from PIL import Image

from vaa.errors import VideoError
from vaa.report import clips
from vaa.report.clips import copy_packets, write_clip, write_still
from vaa.types import Pixels, Video
from vaa.video import sources


def shown(clip: Path) -> Pixels:
    n_frames = sources.probe(clip, "pyav").n_frames
    return sources.frames(Video("clip", clip, n_frames, RATE), range(n_frames), "pyav")


@pytest.mark.parametrize(
    ("name", "codec", "interval", "copied"),
    [
        ("a.mp4", "libx264", (12, 24), True),
        ("a.mp4", "libx264", (24, N), True),
        ("a.mp4", "libx264", (13, 24), False),  # starts at no key frame
        ("a.mp4", "libx264 refresh", (13, 24), False),  # the same, in the order in which they are shown
        ("a.mp4", "libx264", (12, 22), False),  # pictures that are shown later are stored before the last one
        ("a.mp4", "libx264 open", (12, 24), False),  # pictures that are shown earlier are stored after the key frame
        ("a.mkv", "libx264", (12, 24), False),
        ("a.mp4", "mpeg4", (12, 24), False),
    ],
)
def test_a_clip_has_exactly_its_frames(
    tmp_path: Path, name: str, codec: str, interval: tuple[int, int], copied: bool
) -> None:
    video = Video("v", plain(tmp_path / name, codec).path, N, RATE)
    assert copy_packets(tmp_path / "copy.mp4", video, interval) is copied
    write_clip(tmp_path / "clips/clip.mp4", video, interval, "pyav")
    frames = shown(tmp_path / "clips/clip.mp4")
    assert codes(frames) == list(range(*interval))
    assert sources.probe(tmp_path / "clips/clip.mp4", "pyav").fps == RATE
    if copied:
        assert np.array_equal(frames, sources.frames(video, range(*interval), "pyav"))
    assert [file.name for file in (tmp_path / "clips").iterdir()] == ["clip.mp4"]


def test_a_copy_with_other_frames_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a file's packets are not what its container says."""
    video = Video("v", plain(tmp_path / "a.mp4", "libx264").path, N, RATE)
    monkeypatch.setattr(clips, "copy_packets", lambda target, video, _: copy_packets(target, video, (12, 24)))
    write_clip(tmp_path / "clip.mp4", video, (24, 36), "pyav")
    assert codes(shown(tmp_path / "clip.mp4")) == list(range(24, 36))


@pytest.mark.parametrize("interval", [(12, 36), (13, 36)], ids=["copied", "encoded"])
def test_a_clip_keeps_the_times_of_a_varying_rate(tmp_path: Path, interval: tuple[int, int]) -> None:
    path = variable_rate(tmp_path / "a.mp4", "libx264").path
    info = sources.probe(path, "pyav")
    assert info.times is not None
    write_clip(tmp_path / "clip.mp4", Video("v", path, N, info.fps, times=info.times), interval, "pyav")
    clip = sources.probe(tmp_path / "clip.mp4", "pyav")
    assert clip.times is not None
    times = info.times.values[slice(*interval)]
    assert clip.times.values == pytest.approx(times - times[0], abs=0.002)
    assert codes(shown(tmp_path / "clip.mp4")) == list(range(*interval))


def test_a_clip_of_images_with_odd_sides(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for k in range(6):
        Image.fromarray(picture(k, (129, 97))).save(tmp_path / f"images/{k}.png")
    video = Video("v", tmp_path / "images", 6, 10.0, "images")
    write_clip(tmp_path / "clip.mp4", video, (2, 5), "pyav")
    frames = shown(tmp_path / "clip.mp4")
    assert (codes(frames), frames.shape) == ([2, 3, 4], (3, 96, 128, 3))


def test_a_still_is_the_frame(tmp_path: Path) -> None:
    video = Video("v", plain(tmp_path / "a.mp4", "libx264").path, N, RATE)
    write_still(tmp_path / "stills/still.jpg", video, 17, "pyav")
    with Image.open(tmp_path / "stills/still.jpg") as image:
        assert (image.format, codes(np.asarray(image)[None])) == ("JPEG", [17])


def test_a_video_that_is_gone_is_an_error_of_that_video(tmp_path: Path) -> None:
    video = Video("v", tmp_path / "gone.mp4", N, RATE)
    with pytest.raises(VideoError):
        write_clip(tmp_path / "clip.mp4", video, (0, 5), "pyav")
    with pytest.raises(VideoError):
        write_still(tmp_path / "still.jpg", video, 0, "pyav")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, OSError), (errno.EINVAL, VideoError)])
def test_a_full_disk_is_no_fault_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise av.FFmpegError(number, "cannot write")

    video = Video("v", plain(tmp_path / "a.mp4", "libx264").path, N, RATE)
    monkeypatch.setattr(clips, "write_h264", fail)
    with pytest.raises(error):
        write_clip(tmp_path / "clip.mp4", video, (13, 24), "pyav")
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
