"""Rare and damaged video files: both decoders give the right frames, or a VideoError with the file and the remedy."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vaa import process
from vaa.data import folder
from vaa.errors import DecodeTimeoutError, VideoError
from vaa.tracking.media import frame_with_boxes
from vaa.types import Box, Pixels, Video
from vaa.video import decoders, sources
from vaa.video.drawing import draw

ROOT = Path(__file__).parents[2]
DECODERS = ["decord", "pyav"]
N = 24
ALL = list(range(N))
CAN = {name: name in av.codecs_available for name in ("libx265", "libsvtav1", "libvpx-vp9")}


def picture(k: int, width: int, height: int) -> Pixels:
    """Five bars that encode the frame number in binary; the upper quarter is grey, so that a rotation is visible."""
    bars = np.zeros((height, width, 3), dtype=np.uint8)
    for bit in range(5):
        bars[:, bit * width // 5 : (bit + 1) * width // 5] = 220 if k >> bit & 1 else 30
    bars[: height // 4] = 120
    return bars


def numbers(frames: Pixels) -> list[int]:
    height, width = frames.shape[1:3]
    rows = frames[:, height * 5 // 8].mean(axis=-1)
    return [sum(int(row[(2 * bit + 1) * width // 10] > 125) << bit for bit in range(5)) for row in rows]


def encode(
    path: Path,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    n: int = N,
    size: tuple[int, int] = (80, 48),
    times: list[int] | None = None,
    **options: str,
) -> Path:
    moov = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=moov) as container:
        stream = container.add_stream(codec, rate=10, options={"g": "6"} | options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        base = Fraction(1, 1000) if times else Fraction(1, 10)
        stream.time_base = stream.codec_context.time_base = base
        for k in range(n):
            frame = av.VideoFrame.from_ndarray(picture(k, *size), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = times[k] if times else k, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An mp4 file whose index comes first."""
    content = encode(tmp_path_factory.mktemp("intact") / "intact.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    return content


def patched(content: bytes, atom: bytes, offset: int, value: int) -> bytes:
    """The file with another 4-byte value at `offset` in an atom's content."""
    at = content.index(atom) + 4 + offset
    return content[:at] + struct.pack(">I", value) + content[at + 4 :]


def pictures_at(content: bytes) -> int:
    return content.index(b"mdat") + 4


def edited(content: bytes, skipped: int) -> bytes:
    """The file with an edit list that hides the first `skipped` frames."""
    at = content.index(b"elst") + 4 + 12
    return patched(content, b"elst", 12, struct.unpack(">I", content[at : at + 4])[0] + skipped * 1024)


def rotated(content: bytes) -> bytes:
    """The file with a display rotation of 90 degrees, clockwise."""
    at = content.index(b"tkhd") + 4 + 40
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    return content[:at] + matrix + content[at + 36 :]


def without_times(content: bytes) -> bytes:
    """The file with all frames at the same time: 0 frames per second."""
    return patched(content, b"stts", 12, 0).replace(b"edts", b"free").replace(b"ctts", b"free")


CLOSED = {"x265-params": "log-level=none:open-gop=0"}
VALID = {
    "VFR mp4": lambda p: encode(p / "a.mp4", times=[100 * k + 37 * (k % 3) for k in ALL]),
    "VFR mkv": lambda p: encode(p / "a.mkv", times=[100 * k + 37 * (k % 3) for k in ALL]),
    "HEVC": lambda p: encode(p / "a.mp4", "libx265", **CLOSED),
    "HEVC 10 bit": lambda p: encode(p / "a.mp4", "libx265", "yuv420p10le", **CLOSED),
    "H.264 10 bit": lambda p: encode(p / "a.mp4", pixels="yuv420p10le"),
    "VP9": lambda p: encode(p / "a.webm", "libvpx-vp9"),
    "AVI": lambda p: encode(p / "a.avi", "mpeg4"),
    "odd size": lambda p: encode(p / "a.mp4", pixels="yuv444p", size=(81, 49)),
    "one frame": lambda p: encode(p / "a.mp4", n=1),
    "8K": lambda p: encode(p / "a.avi", "mjpeg", "yuvj420p", n=1, size=(7680, 4320)),
}
ENCODER = {"HEVC": "libx265", "HEVC 10 bit": "libx265", "VP9": "libvpx-vp9"}

Damage = Callable[[bytes], bytes]
DAMAGED: dict[str, tuple[Damage, dict[str, list[int] | str]]] = {
    # damage -> what each decoder returns for all frames that it counts: their numbers, or a part of its error
    "header says more frames": (lambda b: patched(b, b"stts", 8, 40), {"decord": ALL, "pyav": ALL}),
    "header says fewer frames": (lambda b: patched(b, b"stts", 8, 10), {"decord": "decoder=pyav", "pyav": ALL}),
    "header says longer": (lambda b: patched(b, b"mvhd", 16, 100_000), {"decord": ALL, "pyav": ALL}),
    "garbage at the end": (lambda b: b + b"\x17garbage" * 700, {"decord": ALL, "pyav": ALL}),
    "edit list": (lambda b: edited(b, 6), {"decord": "decoder=pyav", "pyav": ALL[6:]}),
    "0 fps": (without_times, {"decord": "decoder=pyav", "pyav": ALL}),
    "truncated": (lambda b: b[: -(len(b) - pictures_at(b)) // 3], dict.fromkeys(DECODERS, "play|cut")),
    "last bytes missing": (lambda b: b[:-30], dict.fromkeys(DECODERS, "play|cut")),
    "corrupt middle": (lambda b: b[:-700] + bytes(200) + b[-500:], dict.fromkeys(DECODERS, "play|cut")),
    "no first key frame": (
        lambda b: b[: pictures_at(b)] + bytes(300) + b[pictures_at(b) + 300 :],
        {"decord": "play|cut", "pyav": ALL[4:]},  # the next key frame is picture 4
    ),
}  # fmt: skip


def read_all(path: Path, decoder: str) -> Pixels:
    info = sources.probe(path, decoder)
    assert info.fps > 0
    return sources.frames(Video(path.stem, path, info.n_frames, info.fps), range(info.n_frames), decoder)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", VALID)
def test_a_rare_format_gives_the_right_frames(tmp_path: Path, kind: str, decoder: str) -> None:
    if not CAN.get(ENCODER.get(kind, ""), True):
        pytest.skip(f"this build of FFmpeg cannot write {kind}")
    frames = read_all(VALID[kind](tmp_path), decoder)
    assert numbers(frames) == ALL[: len(frames)]
    assert len(frames) == (1 if kind in ("one frame", "8K") else N)
    assert frames.shape[1:3] == {"odd size": (49, 81), "8K": (4320, 7680)}.get(kind, (48, 80))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_a_cut_file_without_an_index_is_a_shorter_video(
    tmp_path: Path, suffix: str, decoder: str, caplog: pytest.LogCaptureFixture
) -> None:
    codec = {"mkv": "libx264", "avi": "mpeg4"}[suffix]
    path = encode(tmp_path / f"cut {decoder}.{suffix}", codec, g="4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    try:
        n_frames = sources.probe(path, decoder).n_frames
        frames = sources.frames(Video(path.stem, path, N, 10.0), range(n_frames), decoder)
    except VideoError as error:
        assert path.name in str(error)  # noqa: PT017 - either is right
        return
    assert 0 < n_frames < N
    decoded = numbers(frames)
    assert decoded[:-3] == ALL[: n_frames - 3]
    assert decoded == sorted(set(decoded))  # frames are coded out of order: some of the last before the cut are missing
    assert f"the data set lists {N} frames, the file has {n_frames}" in caplog.text


@pytest.mark.skipif(not CAN["libsvtav1"], reason="this build of FFmpeg cannot write AV1")
def test_av1_is_decoded_by_pyav_and_refused_by_decord(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = encode(tmp_path / "a.mp4", "libsvtav1", n=8, size=(80, 64), preset="12")
    assert numbers(read_all(path, "pyav")) == ALL[:8]
    with pytest.raises(VideoError, match=r"a\.mp4.*AV1.*decoder=pyav"):
        read_all(path, "decord")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_video_gives_the_right_frames_or_an_error(
    tmp_path: Path, intact: bytes, damage: str, decoder: str
) -> None:
    path = tmp_path / "damaged one.mp4"
    path.write_bytes(DAMAGED[damage][0](intact))
    expected = DAMAGED[damage][1][decoder]
    if isinstance(expected, list):
        assert numbers(read_all(path, decoder)) == expected
        return
    for _ in range(2):  # a decoder that has failed once fails again
        with pytest.raises(VideoError, match=rf"damaged one\.mp4.*({expected})"):
            read_all(path, decoder)


def test_a_rotated_video_is_shown_as_players_show_it_or_refused(tmp_path: Path, intact: bytes) -> None:
    path = tmp_path / "rotated.mp4"
    path.write_bytes(rotated(intact))
    frames = read_all(path, "pyav")
    assert frames.shape[1:3] == (80, 48)
    assert numbers(np.rot90(frames, 1, axes=(1, 2))) == ALL  # rotated back
    assert 110 < frames[3, 40, -4].mean() < 130  # the upper quarter is on the right
    with pytest.raises(VideoError, match=r"rotated\.mp4.*decoder=pyav"):
        read_all(path, "decord")


def test_pyav_refuses_a_frame_that_ffmpeg_invented_and_still_counts_right_after_it(
    tmp_path: Path, intact: bytes
) -> None:
    sizes_at = intact.index(b"stsz") + 4
    sizes = struct.unpack(f">{N}I", intact[sizes_at + 12 : sizes_at + 12 + 4 * N])
    fourth = pictures_at(intact) + sum(sizes[:3])
    path = tmp_path / "damaged.mp4"
    path.write_bytes(intact[: fourth + 12] + bytes(sizes[3] - 12) + intact[fourth + sizes[3] :])
    video = Video("damaged", path, N, 10.0)
    with pytest.raises(VideoError, match=r"damaged\.mp4.*(damaged|cut)"):
        sources.frames(video, ALL, "pyav")
    for first in ([0], [0, 1]):
        try:
            assert numbers(sources.frames(video, first, "pyav")) == first
        except VideoError as error:
            assert "damaged.mp4" in str(error)  # noqa: PT017 - either is right


class StuckDecoder:
    """A decoder that never returns, or whose process dies, depending on the file."""

    def __init__(self, path: Path) -> None:
        if path.stem == "stuck":
            time.sleep(600)
        if path.stem == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        self.n_frames, self.fps, self.times = 5, 10.0, None

    def read(self, numbers: object) -> Pixels:
        raise AssertionError

    def stop_readahead(self) -> None:
        raise AssertionError


def test_a_file_that_hangs_or_kills_the_decoder_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(decoders.DECODERS, "decord", StuckDecoder)
    monkeypatch.setattr(process, "_decode_timeout", 5.0)
    monkeypatch.setattr(folder, "is_video", lambda _: True)
    for name in ("deadly.mp4", "deadly.recording", "fine.mp4", "stuck.mp4", "well.mp4"):
        (tmp_path / name).touch()
    start = time.monotonic()
    dataset = folder.VideoFolder(
        name="mine", root=str(tmp_path), labels=None, annotators="majority", decoder="decord"
    ).load()
    assert time.monotonic() - start < 300  # half of what the decoder takes
    assert [v.id for v in dataset.videos] == ["fine", "well"]
    reasons = {failure.video: failure.reason for failure in dataset.failures}
    assert list(reasons) == ["deadly.recording", "deadly", "stuck"]
    for name in ("deadly.mp4", "deadly.recording"):
        assert f"{name}: opening it ended the process" in reasons[name.removesuffix(".mp4")]
    assert re.search(r"stuck\.mp4: .* took longer than 5 s .*decode_timeout=10", reasons["stuck"])
    assert dataset.left_out == 0


def test_a_file_of_unknown_suffix_that_hangs_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoders.DECODERS, "decord", StuckDecoder)
    monkeypatch.setattr(folder, "is_video", lambda _: True)
    monkeypatch.setattr(process, "_decode_timeout", 0.1)
    (tmp_path / "stuck").touch()
    with pytest.raises(DecodeTimeoutError, match=r"stuck: .*decode_timeout"):
        folder._probe_unknown(tmp_path / "stuck", "decord")


class HangingDecoder:
    """A decoder that opens the file and then never returns a frame."""

    def __init__(self, path: Path) -> None:
        self.n_frames, self.fps, self.times = 25, 10.0, None

    def read(self, numbers: object) -> Pixels:
        time.sleep(600)
        raise AssertionError

    def stop_readahead(self) -> None:
        raise AssertionError


@pytest.fixture
def hanging(clip: Path, monkeypatch: pytest.MonkeyPatch) -> Video:
    monkeypatch.setitem(decoders.DECODERS, "hanging", HangingDecoder)
    monkeypatch.setattr(process, "_decode_timeout", 0.5)
    return Video("clip", clip, 25, 10.0)


def test_a_decoder_that_hangs_is_abandoned_wherever_frames_are_read(hanging: Video, tmp_path: Path) -> None:
    start = time.monotonic()
    message = r"clip\.mp4: .*decoding it took longer than 0\.5 s .*decode_timeout=1"
    with pytest.raises(VideoError, match=message):
        sources.frames(hanging, [0, 3], "hanging")
    with pytest.raises(VideoError, match=message):  # at once
        draw(hanging, [Box(3, (1.0, 1.0, 9.0, 9.0), 0.5)], tmp_path / "drawn", False, "hanging")
    assert frame_with_boxes(hanging, 3, [], [], "", "hanging") is None
    assert time.monotonic() - start < 300  # half of what the decoder takes
    assert list((tmp_path / "drawn").iterdir()) == []


def test_a_run_continues_after_damaged_videos_and_lists_them(tmp_path: Path, intact: bytes) -> None:
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    (clips / "good.mp4").write_bytes(intact)
    (clips / "text.mp4").write_text("no video at all")
    (clips / "middle.mp4").write_bytes(DAMAGED["corrupt middle"][0](intact))
    done = subprocess.run(
        [sys.executable, "run.py", "data=folder", f"data.root={clips}", "method=plain", "cache=null", "page=null",
         "plots=false", "wandb.mode=disabled", f"hydra.run.dir={out}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    failures = {entry["video"]: entry for entry in json.loads((out / "failures.json").read_text())}
    assert set(failures) == {"text", "middle"}
    assert all(f"{name}.mp4" in entry["reason"] for name, entry in failures.items())
    assert [file.name for file in (out / "scores").iterdir()] == ["good.json"]
