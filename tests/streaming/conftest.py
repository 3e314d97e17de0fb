from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from live_sources import FPS, FRAMES

from vaa.streaming.stream import Stream


@pytest.fixture(scope="session")
def transport(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MPEG-TS file: 100 frames at 10 a second, 64x48; the brightness of each half is a digit of the frame number."""
    path = tmp_path_factory.mktemp("transport") / "clip.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(FRAMES):
            picture = np.full((48, 64, 3), 20 + 20 * (k // 10), dtype=np.uint8)
            picture[:, 32:] = 20 + 20 * (k % 10)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def stream() -> Callable[..., Stream]:
    """Makes a stream with the given fields and these defaults."""
    default = Stream(
        url="unused", url_env=None, follow=False, fps=None, height=None, max_delay=60.0, reconnect_timeout=3.0,
        options={},
    )  # fmt: skip
    return lambda **fields: replace(default, **fields)
