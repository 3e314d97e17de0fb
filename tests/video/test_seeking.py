"""Seeking gives the same frames as counting them in a forward pass, for all codecs, and decodes fewer."""

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
FORMATS = [  # container, codec, options, and whether seeking works for all frames (None: for some)
    ("mp4", "libx264", {"g": "30"}, True),
    ("mkv", "libx264", {"x264-params": PYRAMID}, True),
    ("ts", "libx264", {"x264-params": PYRAMID}, True),
    ("mp4", "libx264", {"x264-params": "interlaced=1:keyint=20"}, True),
    ("flv", "libx264", {"g": "1"}, True),
    ("mp4", "libx264", {"g": "25", "x264-params": "intra-refresh=1"}, None),  # its key frames are incomplete
    ("avi", "libx264", {"g": "30"}, False),  # has decoding times only
    ("avi", "libx264", {"g": "20", "bf": "0"}, True),
    ("mp4", "libx265", {"x265-params": "log-level=none:keyint=20:open-gop=1:bframes=4"}, True),
    ("webm", "libvpx-vp9", {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}, True),
    ("mp4", "libsvtav1", {"preset": "12", "g": "30"}, True),
    ("mp4", "mpeg4", {"bf": "2", "g": "15"}, True),
    ("mkv", "mpeg2video", {"bf": "2", "g": "12"}, True),
    ("mpg", "mpeg2video", {"bf": "2", "g": "12"}, False),  # not all packets have times
    ("mkv", "ffv1", {"g": "10"}, True),
]


def write_video(path: Path, codec: str, options: dict[str, str]) -> Path:
    """A camera that pans over noise, so that frames are predicted from others."""
    background = (
        np.random.default_rng(0).integers(0, 255, (12, 60, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k in range(N):
            picture = background[k // 4 : k // 4 + 64, 4 * k : 4 * k + 96].copy()
            picture[20:30, k : k + 6] = (255, 2 * k, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def read_forward(path: Path) -> Any:
    decoder = PyAVDecoder(path)
    decoder._index = None
    return decoder.read(range(decoder.n_frames))


@pytest.mark.parametrize(
    ("container", "codec", "options", "seeks"), FORMATS, ids=[f"{f}-{c}-{i}" for i, (f, c, *_) in enumerate(FORMATS)]
)
def test_seeking_gives_the_frames_of_a_forward_pass(
    container: str, codec: str, options: dict[str, str], seeks: bool | None, tmp_path: Path
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec} here")
    path = write_video(tmp_path / f"clip.{container}", codec, options)
    expected, rng = read_forward(path), random.Random(7)
    assert len(expected) == N
    assert len({frame.tobytes() for frame in expected}) == N
    windows = [list(range(first, first + 12, 2)) for first in range(0, N - 12, 9)]
    dense = [list(range(first, min(N, first + 25))) for first in (50, 3, 60)]
    sparse = [sorted(rng.sample(range(N), size)) for size in (1, 1, 2, 5, 9)]
    for reads in (windows, [*dense, *sparse], [[N - 1], [0], [N - 1]]):
        decoder = PyAVDecoder(path)
        for numbers in reads:
            np.testing.assert_array_equal(decoder.read(numbers), expected[numbers])
        if seeks is not None:
            assert (decoder._index is not None) is seeks


def test_frames_that_are_not_needed_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mp4", "libx264", {"g": "30", "bf": "3", "sc_threshold": "0"})
    decoded: list[int] = []
    decode_from = seeking.PacketIndex._decode_from

    def recorded(self: seeking.PacketIndex, key: int) -> Any:
        for frame in decode_from(self, key):
            decoded.append(int(np.searchsorted(self.times, frame.pts)))
            yield frame

    monkeypatch.setattr(seeking.PacketIndex, "_decode_from", recorded)
    decoder = PyAVDecoder(path)
    for number in (20, 21, 70, 10):
        decoder.read([number])
    jumps = [pair for pair in pairwise(decoded) if not 0 < pair[1] - pair[0] < 8]
    assert jumps == [(21, 60), (70, 0)]  # key frames are 0, 30 and 60
    assert (decoded[0], decoded[-1]) == (0, 10)
    assert {20, 21, 70} < set(decoded)
    assert len(decoded) < 36  # of 21 + 1 + 11 + 11 frames from the key frames on
