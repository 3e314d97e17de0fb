"""Videos for decoding benchmarks: noise and moving rectangles, so that the encoder writes realistic predictions."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def clip(path: Path, seconds: float, key_frame_every: int, size: tuple[int, int] = (320, 240), fps: int = 30) -> Path:
    """An H.264 file, written if it does not exist."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    width, height = size
    background = np.kron(rng.integers(40, 200, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    temporary = path.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as container:
        options = {
            "g": str(key_frame_every),
            "keyint_min": str(key_frame_every),
            "sc_threshold": "0",
            "preset": "veryfast",
        }
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(int(seconds * fps)):
            frame = background.copy()
            for rectangle in range(6):
                x, y = (7 * rectangle * 13 + (rectangle + 1) * k) % (width - 24), (37 * rectangle) % (height - 48)
                frame[y : y + 48, x : x + 24] = (40 * rectangle, 255 - 30 * rectangle, (k * 3) % 255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    temporary.rename(path)
    return path
