"""Frames found by their times are those that a forward pass counts, whatever the codec, and fewer are decoded."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vaa.video import seeking
from vaa.video.decoders import PyAVDecoder

N = 90
PYRAMID = "open-gop=1:b-pyramid=normal:bframes=5:keyint=12"
KINDS = [  # a file, what makes it, and whether its frames are found by their times to the end (None: by chance)
    ("mp4", "libx264", {"g": "30"}, True),
    ("mkv", "libx264", {"x264-params": PYRAMID}, True),
    ("ts", "libx264", {"x264-params": PYRAMID}, True),
    ("mp4", "libx264", {"x264-params": "interlaced=1:keyint=20"}, True),
    ("flv", "libx264", {"g": "1"}, True),
    ("mp4", "libx264", {"g": "25", "x264-params": "intra-refresh=1"}, None),  # its key frames are not whole
    ("avi", "libx264", {"g": "30"}, False),  # has no times but those of decoding
    ("avi", "libx264", {"g": "20", "bf": "0"}, True),
    ("mp4", "libx265", {"x265-params": "log-level=none:keyint=20:open-gop=1:bframes=4"}, True),
    ("webm", "libvpx-vp9", {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}, True),
    ("mp4", "libsvtav1", {"preset": "12", "g": "30"}, True),
    ("mp4", "mpeg4", {"bf": "2", "g": "15"}, True),
    ("mkv", "mpeg2video", {"bf": "2", "g": "12"}, True),
    ("mpg", "mpeg2video", {"bf": "2", "g": "12"}, None),  # seeking often leads elsewhere
    ("mkv", "ffv1", {"g": "10"}, True),
]


def make(path: Path, codec: str, options: dict[str, str]) -> Path:
    """A camera that pans over noise, so that frames are predicted from others."""
    ground = np.random.default_rng(0).integers(0, 255, (12, 60, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k in range(N):
            picture = ground[k // 4 : k // 4 + 64, 4 * k : 4 * k + 96].copy()
            picture[20:30, k : k + 6] = (255, 2 * k, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def counted(path: Path) -> Any:
    decoder = PyAVDecoder(path)
    decoder._index = None
    return decoder.read(range(decoder.n_frames))


@pytest.mark.parametrize(
    ("kind", "codec", "options", "by_time"), KINDS, ids=[f"{k}-{c}-{i}" for i, (k, c, *_) in enumerate(KINDS)]
)
def test_found_by_their_times_frames_are_those_that_are_counted(
    kind: str, codec: str, options: dict[str, str], by_time: bool | None, tmp_path: Path
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec} here")
    path = make(tmp_path / f"clip.{kind}", codec, options)
    whole, chance = counted(path), random.Random(7)
    assert len(whole) == N
    assert len({frame.tobytes() for frame in whole}) == N
    windows = [list(range(first, first + 12, 2)) for first in range(0, N - 12, 9)]
    dense = [list(range(first, min(N, first + 25))) for first in (50, 3, 60)]
    apart = [sorted(chance.sample(range(N), size)) for size in (1, 1, 2, 5, 9)]
    for asked in (windows, [*dense, *apart], [[N - 1], [0], [N - 1]]):
        decoder = PyAVDecoder(path)
        for numbers in asked:
            np.testing.assert_array_equal(decoder.read(numbers), whole[numbers])
        if by_time is not None:
            assert (decoder._index is not None) is by_time


def test_what_nobody_needs_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "clip.mp4", "libx264", {"g": "30", "bf": "3", "sc_threshold": "0"})
    come: list[int] = []
    plain = seeking.PacketIndex._decode_from

    def watched(self: seeking.PacketIndex, key: int) -> Any:
        for frame in plain(self, key):
            come.append(int(np.searchsorted(self.times, frame.pts)))
            yield frame

    monkeypatch.setattr(seeking.PacketIndex, "_decode_from", watched)
    decoder = PyAVDecoder(path)
    for number in (20, 21, 70, 10):
        decoder.read([number])
    jumps = [pair for pair in pairwise(come) if not 0 < pair[1] - pair[0] < 8]
    assert jumps == [(21, 60), (70, 0)]  # key frames are 0, 30 and 60
    assert (come[0], come[-1]) == (0, 10)
    assert {20, 21, 70} < set(come)
    assert len(come) < 36  # of 21 + 1 + 11 + 11 that lie on the way
