"""Videos to decode: street-like pictures that move, so that the encoder has something to do."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def clip(path: Path, seconds: float, key_frame_every: int, size: tuple[int, int] = (320, 240), fps: int = 30) -> Path:
    """An H.264 file, made once."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    width, height = size
    ground = np.kron(rng.integers(40, 200, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    making = path.with_suffix(".part.mp4")
    with av.open(str(making), "w") as container:
        options = {
            "g": str(key_frame_every),
            "keyint_min": str(key_frame_every),
            "sc_threshold": "0",
            "preset": "veryfast",
        }
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(int(seconds * fps)):
            picture = ground.copy()
            for object_ in range(6):
                x, y = (7 * object_ * 13 + (object_ + 1) * k) % (width - 24), (37 * object_) % (height - 48)
                picture[y : y + 48, x : x + 24] = (40 * object_, 255 - 30 * object_, (k * 3) % 255)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    making.rename(path)
    return path
