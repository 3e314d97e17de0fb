from __future__ import annotations

import gc
import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from vaa.errors import VaaError, VideoError
from vaa.types import Video
from vaa.video import sources

READERS = ["decord", "pyav"]
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
def test_both_readers_give_the_same_pixels_of_real_clips(shared: Path, name: str) -> None:
    path = shared / "videos" / f"{name}.mp4"
    (n_frames, fps), other = (sources.probe(path, decoder) for decoder in READERS)
    assert (n_frames, fps) == pytest.approx(other)
    clip = Video(name, path, n_frames, fps)
    wanted = [0, 1, 7, n_frames // 3, n_frames - 1]
    decord, pyav = (sources.frames(clip, wanted, decoder) for decoder in READERS)
    assert decord.dtype == np.uint8
    assert decord.shape == (5, *decord.shape[1:3], 3)
    np.testing.assert_array_equal(decord, pyav)


@pytest.mark.parametrize("decoder", READERS)
def test_after_a_rest_the_same_frames_come(clip: Path, decoder: str) -> None:
    known = Video("clip", clip, 25, 10.0)
    whole = sources.frames(known, range(25), decoder)
    for numbers in ((3, 9), (10, 11), (0, 24)):
        np.testing.assert_array_equal(sources.frames(known, numbers, decoder), whole[list(numbers)])
        sources.rest(known, decoder)


@pytest.mark.parametrize("decoder", READERS)
def test_numbers_name_the_frames_in_any_order_of_calls(clip: Path, decoder: str) -> None:
    known = Video("clip", clip, 25, 10.0)
    assert sources.probe(clip, decoder) == (25, 10.0)
    whole = sources.frames(known, range(25), decoder)
    assert len({frame.tobytes() for frame in whole}) == 25
    for numbers in ([20, 24], [3], [3, 4], [0, 24]):
        np.testing.assert_array_equal(sources.frames(known, numbers, decoder), whole[numbers])


def test_colours_are_red_green_blue(clip: Path) -> None:
    red, green, blue = sources.frames(Video("clip", clip, 25, 10.0), [0], "decord")[0, 18, 8]
    assert red > 200
    assert green > 200
    assert blue < 90


@pytest.mark.parametrize("decoder", READERS)
def test_one_frame_past_the_end_is_the_last(clip: Path, decoder: str) -> None:
    pictures = sources.frames(Video("clip", clip, 26, 10.0), [23, 24, 25], decoder)
    np.testing.assert_array_equal(pictures[2], pictures[1])
    assert (pictures[1] != pictures[0]).any()


@pytest.mark.parametrize("decoder", READERS)
def test_two_frames_past_the_end_is_an_error_that_says_both_lengths(clip: Path, decoder: str) -> None:
    with pytest.raises(VideoError, match=r"frame 26 was asked for.*clip\.mp4 has 25 frames.*says 27"):
        sources.frames(Video("clip", clip, 27, 10.0), [26], decoder)


def test_another_length_is_said_once(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = Video(f"said once {clip}", clip, 40, 10.0)
    with caplog.at_level(logging.WARNING, "vaa"):
        for number in (0, 5, 9):
            sources.frames(known, [number], "decord")
        sources.frames(replace(known, id=f"one off {clip}", n_frames=24), [0], "decord")
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{known.id}: the data set says 40 frames, the file has 25."]


@pytest.mark.parametrize("decoder", READERS)
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "sound", "no index"])
def test_what_is_no_video_is_a_video_error_with_the_files_name(
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


@pytest.mark.parametrize("decoder", READERS)
def test_damage_within_the_pictures_is_a_video_error_or_harmless(tmp_path: Path, clip: Path, decoder: str) -> None:
    content = clip.read_bytes()
    start = content.index(b"mdat") + 4
    path = tmp_path / "hurt.mp4"
    path.write_bytes(content[:start] + bytes(len(content) - start) if content.index(b"moov") < start else content)
    if content.index(b"moov") > start:
        path.write_bytes(
            content[:start] + bytes(content.index(b"moov") - 4 - start) + content[content.index(b"moov") - 4 :]
        )
    with pytest.raises(VideoError, match=r"hurt\.mp4"):
        sources.frames(Video("hurt", path, 25, 10.0), [0, 12], decoder)


def test_a_file_that_changed_is_opened_anew(clip: Path, tmp_path: Path) -> None:
    before = sources.probe(clip, "decord")
    clip.write_text("gone")
    assert before == (25, 10.0)
    with pytest.raises(VideoError):
        sources.probe(clip, "decord")


def test_an_unknown_reader_ends_the_run_with_the_known_ones(clip: Path) -> None:
    with pytest.raises(VaaError, match="decoder=opencv: choose one of decord, pyav") as error:
        sources.probe(clip, "opencv")
    assert not isinstance(error.value, VideoError)


@pytest.mark.parametrize("decoder", READERS)
def test_a_file_given_up_before_a_process_was_forked_is_not_freed_there(clip: Path, decoder: str) -> None:
    gc.collect()
    gc.disable()
    try:
        n_frames, fps = sources.probe(clip, decoder)
        given_up = [sources.READERS[decoder](clip)]
        given_up[0].get([0, n_frames // 2])  # FFmpeg's threads are at work, in this process alone
        given_up.append(given_up)
        del given_up
        process = multiprocessing.get_context("fork").Process(target=gc.collect)
        process.start()
        process.join(20)
        ended = process.exitcode
        process.kill()
    finally:
        gc.enable()
    assert ended == 0
    assert sources.frames(Video("v", clip, n_frames, fps), [0], decoder).shape[0] == 1
