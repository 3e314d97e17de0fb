"""Video files, folders of images and live frames, read by frame number."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from making import make_clip, write_timed
from PIL import Image

from vaa import process
from vaa.cache import AnswerCache
from vaa.errors import ConfigError, VideoError
from vaa.process import protect_forks
from vaa.types import GenerateQuery, Pixels, Video
from vaa.video import decoders, sources
from vaa.video.sources import (
    FrameSource,
    ImageFolder,
    LiveFrames,
    VideoFile,
    decode_with_timeout,
    open_source,
    variable_times,
)

DECODERS = ["decord", "pyav"]
CLIPS = ["car_accident", "earthquake", "robbery"]


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    return path


@pytest.mark.parametrize("name", CLIPS)
def test_both_decoders_give_the_same_pixels_of_real_clips(shared: Path, name: str) -> None:
    path = shared / "videos" / f"{name}.mp4"
    info, other = (sources.probe(path, decoder) for decoder in DECODERS)
    n_frames = info.n_frames
    assert (n_frames, info.fps) == pytest.approx((other.n_frames, other.fps))
    assert (info.times is None) == (other.times is None)
    if info.times and other.times:
        np.testing.assert_allclose(info.times.values, other.times.values, atol=1e-3)
    video = Video(name, path, n_frames, info.fps)
    numbers = [0, 1, 7, n_frames // 3, n_frames - 1]
    decord, pyav = (sources.frames(video, numbers, decoder) for decoder in DECODERS)
    assert decord.dtype == np.uint8
    assert decord.shape == (5, *decord.shape[1:3], 3)
    np.testing.assert_array_equal(decord, pyav)


VARIABLE = {
    "motion": [*range(0, 2000, 100), *range(30_000, 32_000, 100)],
    "dim": [0, 33, 67, 133, 200, 267, 300, 333, 500, 667, 833, 1000],
    "late start": [400, 500, 700, 1100, 1900, 2000],
    "one lost in ten": [k * 40 for k in range(200) if k % 10 != 5],
}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("times", VARIABLE.values(), ids=VARIABLE)
def test_times_of_a_varying_rate_are_those_of_the_file(
    tmp_path: Path, times: list[int], suffix: str, decoder: str
) -> None:
    info = sources.probe(write_timed(tmp_path / f"v.{suffix}", times), decoder)
    assert info.n_frames == len(times)
    assert info.times is not None
    np.testing.assert_allclose(info.times.values, (np.array(times) - times[0]) / 1000, atol=1e-3)


@pytest.mark.parametrize(
    ("suffix", "decoder"), [(s, d) for s in ("mp4", "mkv") for d in DECODERS] + [("avi", "pyav"), ("ts", "pyav")]
)
@pytest.mark.parametrize("fps", [10, 24, 30])
def test_a_constant_rate_has_no_times_of_its_own(tmp_path: Path, fps: int, suffix: str, decoder: str) -> None:
    info = sources.probe(make_clip(tmp_path / f"v.{suffix}", 90, fps), decoder)
    assert (info.n_frames, info.times) == (90, None)
    assert info.fps == pytest.approx(fps, rel=1e-3)


def test_times_are_needed_where_the_rate_is_off_by_half_a_frame() -> None:
    rounded = np.round(np.arange(10_000) / 30, 3)  # as Matroska does
    assert variable_times(rounded, 30.0) is None
    drift = variable_times(rounded, 29.97)  # after 500 frames
    assert drift is not None
    assert variable_times(rounded[:400], 29.97) is None
    assert variable_times(None, 30.0) is None
    assert variable_times(rounded, 0.0) is None


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_are_the_same_after_readahead_was_stopped(clip: Path, decoder: str) -> None:
    video = Video("clip", clip, 25, 10.0)
    all_frames = sources.frames(video, range(25), decoder)
    for numbers in ((3, 9), (10, 11), (0, 24)):
        np.testing.assert_array_equal(sources.frames(video, numbers, decoder), all_frames[list(numbers)])
        sources.stop_readahead(video, decoder)


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_do_not_depend_on_the_order_of_calls(clip: Path, decoder: str) -> None:
    video = Video("clip", clip, 25, 10.0)
    assert sources.probe(clip, decoder) == sources.VideoInfo(25, 10.0)
    all_frames = sources.frames(video, range(25), decoder)
    assert len({frame.tobytes() for frame in all_frames}) == 25
    for numbers in ([20, 24], [3], [3, 4], [0, 24]):
        np.testing.assert_array_equal(sources.frames(video, numbers, decoder), all_frames[numbers])


def test_colours_are_red_green_blue(clip: Path) -> None:
    red, green, blue = sources.frames(Video("clip", clip, 25, 10.0), [0], "decord")[0, 18, 8]
    assert red > 200
    assert green > 200
    assert blue < 90


@pytest.mark.parametrize("decoder", DECODERS)
def test_one_frame_past_the_end_is_the_last(clip: Path, decoder: str) -> None:
    frames = sources.frames(Video("clip", clip, 26, 10.0), [23, 24, 25], decoder)
    np.testing.assert_array_equal(frames[2], frames[1])
    assert (frames[1] != frames[0]).any()


@pytest.mark.parametrize("decoder", DECODERS)
def test_two_frames_past_the_end_is_an_error_with_both_lengths(clip: Path, decoder: str) -> None:
    with pytest.raises(VideoError, match=r"frame 26.*clip\.mp4 has 25 frames.*27"):
        sources.frames(Video("clip", clip, 27, 10.0), [26], decoder)


def test_another_length_is_warned_of_once(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = Video(f"warned once {clip}", clip, 40, 10.0)
    with caplog.at_level(logging.WARNING, "vaa"):
        for number in (0, 5, 9):
            sources.frames(video, [number], "decord")
        sources.frames(replace(video, id=f"one off {clip}", n_frames=24), [0], "decord")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"{video.id}: the data set lists 40 frames, the file has 25."]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "sound", "no index"])
def test_a_file_that_is_not_a_video_is_an_error_with_its_name(
    tmp_path: Path, clip: Path, decoder: str, kind: str
) -> None:
    path = tmp_path / "bad one.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind in ("empty", "text"):
        path.write_text("" if kind == "empty" else "no video at all\n" * 100)
    elif kind == "sound":
        write_sound(path)
    elif kind == "no index":
        path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    for action in (
        lambda: sources.probe(path, decoder),
        lambda: sources.frames(Video("bad", path, 25, 10.0), [0], decoder),
    ):
        with pytest.raises(VideoError, match=r"bad one\.mp4"):
            action()


@pytest.mark.parametrize("decoder", DECODERS)
def test_erased_picture_data_is_an_error(tmp_path: Path, clip: Path, decoder: str) -> None:
    content = clip.read_bytes()
    start = content.index(b"mdat") + 4
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content[:start] + bytes(len(content) - start) if content.index(b"moov") < start else content)
    if content.index(b"moov") > start:
        path.write_bytes(
            content[:start] + bytes(content.index(b"moov") - 4 - start) + content[content.index(b"moov") - 4 :]
        )
    with pytest.raises(VideoError, match=r"damaged\.mp4"):
        sources.frames(Video("damaged", path, 25, 10.0), [0, 12], decoder)


def test_a_file_that_has_changed_is_opened_again(clip: Path) -> None:
    before = sources.probe(clip, "decord")
    clip.write_text("not a video")
    assert before == sources.VideoInfo(25, 10.0)
    with pytest.raises(VideoError):
        sources.probe(clip, "decord")


def test_an_unknown_decoder_is_a_config_error_with_the_known_ones(clip: Path) -> None:
    with pytest.raises(ConfigError, match="decoder=opencv: choose one of decord, pyav"):
        sources.probe(clip, "opencv")


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_forked_process_does_not_free_a_decoder_of_its_parent(clip: Path, decoder: str) -> None:
    protect_forks()
    gc.collect()
    gc.disable()
    try:
        info = sources.probe(clip, decoder)
        garbage = [decoders.DECODERS[decoder](clip)]
        garbage[0].read([0, info.n_frames // 2])  # starts FFmpeg's threads, which exist in this process only
        garbage.append(garbage)
        del garbage
        process = multiprocessing.get_context("fork").Process(target=gc.collect)
        process.start()
        process.join(20)
        status = process.exitcode
        process.kill()
    finally:
        gc.enable()
    assert status == 0
    assert sources.frames(Video("v", clip, info.n_frames, info.fps), [0], decoder).shape[0] == 1


def test_a_file_that_made_a_decoder_hang_is_opened_again_only_under_a_longer_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_decode_timeout", 0.1)
    opened, release = list[int](), threading.Event()
    message = r"a\.mp4: .*0\.1 s .*slow.*decode_timeout=0\.2"
    with pytest.raises(VideoError, match=message):
        decode_with_timeout(tmp_path / "a.mp4", release.wait)
    release.set()
    with pytest.raises(VideoError, match=message):
        decode_with_timeout(tmp_path / "a.mp4", lambda: opened.append(1))
    assert opened == []
    monkeypatch.setattr(process, "_decode_timeout", 60.0)
    assert decode_with_timeout(tmp_path / "b.mp4", lambda: 7) == 7
    assert decode_with_timeout(tmp_path / "a.mp4", lambda: 8) == 8


Images = Callable[..., tuple[Path, Pixels]]


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """A folder of images of the given names and their pixels, in the order of the names."""

    def write(*names: str) -> tuple[Path, Pixels]:
        folder = tmp_path / "01_0014"
        folder.mkdir()
        pixels = np.random.default_rng(0).integers(0, 255, (len(names), 6, 8, 3), dtype=np.uint8)
        for name, image in zip(names, pixels, strict=True):
            Image.fromarray(image).save(folder / name)
        return folder, pixels

    return write


@pytest.mark.parametrize(
    "names",
    [
        ("000.png", "001.png", "002.png"),
        ("8.png", "9.png", "10.png"),
        ("frame_08.png", "frame_9.tif", "frame_010.BMP"),
    ],
)
def test_images_are_frames_in_the_order_of_their_numbers(images: Images, names: tuple[str, ...]) -> None:
    folder, pixels = images(*names)
    (folder / "notes.txt").touch()
    source = ImageFolder(folder=folder, fps=24.0)
    assert source.info() == sources.VideoInfo(3, 24.0)
    np.testing.assert_array_equal(source.read([0, 2]), pixels[[0, 2]])
    video = Video("01_0014", folder, 3, 24.0, "images")
    np.testing.assert_array_equal(sources.frames(video, [1, 2, 3], "decord"), pixels[[1, 2, 2]])
    with pytest.raises(VideoError, match="frame 4"):
        sources.frames(video, [4], "decord")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("000.png", "001.png", "003.png", "004.png"), r"01_0014: image 2 of 0 to 4"),
        (("1.png", "01.png"), r"01\.png|1\.png"),
        (("first.png",), r"first\.png"),
        ((), r"01_0014: no image"),
    ],
)
def test_a_folder_whose_frames_are_not_clear_is_an_error(images: Images, names: tuple[str, ...], message: str) -> None:
    folder, _ = images(*names)
    with pytest.raises(VideoError, match=message):
        sources.frames(Video("v", folder, len(names), 24.0, "images"), [0], "decord")


def test_images_that_cannot_be_read_are_errors_with_their_names(images: Images) -> None:
    folder, _ = images("0.png", "1.png", "2.png")
    (folder / "1.png").write_text("not an image")
    Image.new("RGB", (5, 5)).save(folder / "2.png")
    video = Video("v", folder, 3, 24.0, "images")
    for numbers, name in (([1], r"1\.png"), ([0, 2], r"2\.png")):
        with pytest.raises(VideoError, match=name):
            sources.frames(video, numbers, "decord")
    with pytest.raises(VideoError, match="missing: no such folder"):
        sources.frames(replace(video, path=folder / "missing"), [0], "decord")


def test_a_cache_key_depends_on_the_content_of_a_folder_of_images(images: Images, tmp_path: Path) -> None:
    folder, pixels = images("0.png", "1.png")
    video, cache = Video("v", folder, 2, 24.0, "images"), AnswerCache(None)

    def key() -> bytes:
        query = GenerateQuery(purpose="verdict", video=video, at=0, frames=(0,), text="what?", max_new_tokens=8)
        return cache.key("model", query)

    first, stored = key(), folder / "1.png"
    assert key() == first
    content = stored.read_bytes()
    Image.fromarray(255 - pixels[1]).save(stored)
    assert key() != first
    stored.write_bytes(content)
    assert key() == first
    (folder / "0.png").rename(tmp_path / "0.png")
    (folder / "1.png").rename(folder / "0.png")
    (tmp_path / "0.png").rename(folder / "1.png")
    assert key() != first


def test_each_kind_of_video_has_its_source(tmp_path: Path) -> None:
    video = Video("v", tmp_path, 3, 10.0)
    for kind, expected in (("file", VideoFile), ("images", ImageFolder), ("live", LiveFrames)):
        source = open_source(replace(video, source=kind))  # type: ignore[arg-type]
        assert isinstance(source, expected)
        assert {name for name in dir(FrameSource) if name[0] != "_"} <= set(dir(expected))


def test_decoded_pictures_are_freed_without_garbage_collection(clip: Path) -> None:
    """A reference cycle in each of them filled the memory: gigabytes, with large pictures."""
    decoder = decoders.PyAVDecoder(clip)
    gc.collect()
    gc.disable()
    try:
        before = pictures_in_memory()
        decoder.read(range(20))
        after = pictures_in_memory()
    finally:
        gc.enable()
    assert after - before <= 2  # the decoder's own


def pictures_in_memory() -> int:
    return sum(type(each) is av.VideoFrame for each in gc.get_objects())
