"""Frame k is the k-th picture that a player shows, whatever was read before it, or the file is refused by name.

`python -m pytest -m matrix -s` makes every file that the codecs, containers and edits of tests/support/odd_videos.py
allow and prints the counts of docs/reliability.md.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import av
import pytest
from odd_videos import CODECS, CONTAINERS, EDITS, OddVideo, Track, agree, codes, encode, mux, with_matrix
from oracle import pictures_shown

from vaa.errors import VideoError
from vaa.video.decoders import DECODERS

EQUAL, REFUSED, OTHER = "equal", "refused", "refused for the other decoder"


@pytest.fixture(autouse=True)
def _quiet() -> None:
    av.logging.set_level(None)


def outcome(video: OddVideo, decoder: str) -> str:
    """EQUAL, REFUSED, OTHER, or what is wrong. Each read is done by a used and by a new decoder."""
    n = len(video.shown)
    reads: list[Sequence[int]] = [range(n), [n - 1], [n // 2], [3], [0], sorted(random.Random(5).sample(range(n), 5))]
    reads.append(range(n // 3, n // 2))
    try:
        used = DECODERS[decoder](video.path)
        if used.n_frames != n:
            return f"{used.n_frames} frames instead of {n}"
        for numbers in reads:
            for opened in (used, DECODERS[decoder](video.path)):
                shown = codes(video.upright(opened.read(numbers)))
                if not agree(shown, [video.shown[number] for number in numbers]):
                    return f"frames {[*numbers]} are {shown}"
    except VideoError as error:
        if video.path.name not in str(error):
            return f"an error without the name of the file: {error}"
        return OTHER if "decoder=" in str(error) else REFUSED
    return EQUAL


SAFE = {"plain", "concatenate", "concatenate mid group", "change size", "variable rate", "rotated 180"}
"""Edits after which decord numbers frames as a player shows them, if groups of pictures are closed."""
HEADLESS = {"trim head", "trim both", "cut middle", "concatenate mid group", "cut before key"}
"""Edits after which decoding begins, or goes on, where the encoder did not begin."""
CLOCKS = [edit for edit in EDITS if edit.startswith("clock")]
FILES = [
    *(("libx264", "mp4", edit) for edit in EDITS if edit not in CLOCKS),
    *product(["libx264 open"], ["ts"], ["plain", "concatenate mid group", "cut before key", *CLOCKS]),
    *product(["libx264 open"], ["mp4"], ["plain", "trim head", "trim tail", "cut middle", "cut before key"]),
    *product(["libx264"], ["ts", "mxf"], ["plain"]),
    *product(["libx265"], ["mkv"], ["plain", "trim head", "cut before key"]),
    *product(["mpeg4"], ["mov", "mkv"], ["plain", "trim tail", "cut before key"]),
    *product(["mpeg4 plain"], ["avi", "mkv"], ["plain", "change size"]),
    ("mpeg4 plain", "mpg", "concatenate"),
    ("mpeg1video", "avi", "trim head"),
    ("h263", "avi", "plain"),
    *product(["mpeg2video"], ["mpg", "ts"], ["plain", "clock back", "cut before key"]),
    *product(["libvpx-vp9"], ["webm"], ["plain", "cut before key", "change size", "two tracks"]),
    *product(["mjpeg"], ["avi", "mov"], ["plain", "trim head", "change size"]),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "container", "edit"), FILES)
def test_frames_are_the_pictures_that_a_player_shows(tmp_path: Path, codec: str, container: str, edit: str) -> None:
    if codec.split()[0] not in av.codecs_available:
        pytest.skip(f"no encoder {codec} here")
    video = EDITS[edit](tmp_path / f"odd.{container}", codec)
    counted = pictures_shown(video.path)
    assert counted.n == len(video.shown) or (counted.times is None and counted.n > len(video.shown))
    assert outcome(video, "pyav") == EQUAL
    decord = outcome(video, "decord")
    assert decord in (EQUAL, OTHER)
    if (codec, container) == ("libx264", "mp4"):
        assert decord == (EQUAL if edit in SAFE else OTHER)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_cover_picture_is_no_video_track(tmp_path: Path, decoder: str) -> None:
    video = EDITS["plain"](tmp_path / "song.mkv", "libx264")
    cover = encode("png", first=200, n=1)
    path = mux(
        tmp_path / "covered.mp4",
        Track(cover.file, cover.packets, "attached_pic"),
        Track(encode("libx264").file, encode("libx264").packets),
    )
    assert outcome(replace(video, path=path), decoder) == EQUAL
    alone = mux(tmp_path / "alone.mp4", Track(cover.file, cover.packets, "attached_pic"))
    with pytest.raises(VideoError, match=r"alone\.mp4"):
        DECODERS[decoder](alone)


def test_decord_refuses_two_tracks_of_equal_length(tmp_path: Path) -> None:
    first, main = encode("libx264", first=100), encode("libx264")
    path = mux(tmp_path / "two.mp4", Track(first.file, first.packets), Track(main.file, main.packets, "default"))
    video = OddVideo(path, list(range(len(main.packets))))
    assert (outcome(video, "pyav"), outcome(video, "decord")) == (EQUAL, OTHER)


@pytest.mark.parametrize("decoder", DECODERS)
def test_mpeg_1_with_an_edit_list_is_refused(tmp_path: Path, decoder: str) -> None:
    assert outcome(EDITS["trim head"](tmp_path / "odd.mp4", "mpeg1video"), decoder) in (REFUSED, OTHER)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_slanted_picture_is_refused(tmp_path: Path, decoder: str) -> None:
    path = EDITS["plain"](tmp_path / "slanted.mp4", "libx264").path
    path.write_bytes(with_matrix(path.read_bytes(), (0.8, 0.6, -0.6, 0.8)))
    with pytest.raises(VideoError, match=r"slanted\.mp4"):
        DECODERS[decoder](path).read([0])


@pytest.mark.matrix
@pytest.mark.parametrize("codec", CODECS)
def test_every_container_and_edit(tmp_path: Path, codec: str) -> None:
    counts, wrong = Counter[str](), list[str]()
    for container, edit in product(CONTAINERS, EDITS):
        if codec == "libx264 refresh" and edit in HEADLESS:
            continue  # how many pictures after the cut are complete depends on the decoder
        try:
            video = EDITS[edit](tmp_path / f"odd.{container}", codec)
        except (av.FFmpegError, ValueError):
            continue  # the container does not allow it
        counts["files"] += 1
        pyav, decord = outcome(video, "pyav"), outcome(video, "decord")
        counts.update([f"pyav {pyav}", f"decord {decord}"])
        if pyav not in (EQUAL, REFUSED) or decord not in ((EQUAL, OTHER) if pyav == EQUAL else (OTHER, REFUSED)):
            wrong.append(f"{container} {edit}: pyav {pyav}, decord {decord}")
        counted = pictures_shown(video.path)
        if pyav == EQUAL and counted.n != len(video.shown) and (counted.times or counted.n < len(video.shown)):
            wrong.append(f"{container} {edit}: the oracle has {counted.n} of {len(video.shown)}")
        if pyav == REFUSED:
            print(f"\n{codec} {container} {edit}: refused by both", end="")
    print("", *wrong, f"{codec}: {dict(counts)}, {len(wrong)} wrong", sep="\n")
    assert wrong == []
