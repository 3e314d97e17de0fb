"""Boxes drawn into a copy of a video, for a model or a person to look at."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from vaa.errors import VideoError
from vaa.types import Box, Pixels, Video, file_name
from vaa.video import sources as videos

_AT_ONCE = 32
_OUTSIDE = 9.0  # pixels: more than a line is wide


def draw(video: Video, boxes: Sequence[Box], folder: Path, hold: bool, decoder: str) -> Video:
    """A copy of the video with each box and its confidence on its frame, and with `hold` up to the next one's frame.

    The copy lies in `folder` under the video's name and a hash of what is drawn; one that is there is not made again.

    Raises:
        VideoError: the video cannot be decoded, or the copy cannot be written.
    """
    asked = json.dumps([video.path.stat().st_size, hold, [[b.frame, *b.xyxy, b.score] for b in boxes]])
    stem = Path(file_name(video.id)).stem
    target = folder / f"{stem}.{hashlib.blake2b(asked.encode(), digest_size=6).hexdigest()}.mp4"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        building = target.with_suffix(f".{os.getpid()}.tmp.mp4")
        try:
            _copy(video, _shown(boxes, video.n_frames, hold), building, decoder)
            building.replace(target)
        except (OSError, ValueError) as error:
            raise VideoError(f"{target}: the copy with boxes cannot be written: {error}") from error
        finally:
            building.unlink(missing_ok=True)
    return Video(f"{video.id} with boxes", target, video.n_frames, video.fps)


def _shown(boxes: Sequence[Box], n_frames: int, hold: bool) -> dict[int, list[Box]]:
    at: dict[int, list[Box]] = {}
    for box in boxes:
        at.setdefault(box.frame, []).append(box)
    if hold:
        frames = sorted(at)
        for first, following in zip(frames, [*frames[1:], n_frames], strict=True):
            at |= dict.fromkeys(range(first, following), at[first])
    return at


def _copy(video: Video, shown: dict[int, list[Box]], target: Path, decoder: str) -> None:
    import av

    numbers = range(video.n_frames)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(video.fps or 25).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "preset": "veryfast"}
        for first in range(0, video.n_frames, _AT_ONCE):
            chunk = numbers[first : first + _AT_ONCE]
            for number, pixels in zip(chunk, videos.frames(video, chunk, decoder), strict=True):
                even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]  # yuv420p has no odd sides
                if number == 0:
                    stream.height, stream.width = even.shape[:2]
                marked = _marked(even, shown[number]) if number in shown else even
                container.mux(stream.encode(av.VideoFrame.from_ndarray(marked, format="rgb24")))
        container.mux(stream.encode())


def _marked(pixels: Pixels, boxes: Sequence[Box]) -> Pixels:
    import numpy as np
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    height, width = pixels.shape[:2]
    for box in boxes:
        # An edge that lies far outside is drawn just outside: a model says any number, and Pillow draws them all.
        x1, x2 = (min(max(x, -_OUTSIDE), width + _OUTSIDE) for x in box.xyxy[::2])
        y1, y2 = (min(max(y, -_OUTSIDE), height + _OUTSIDE) for y in box.xyxy[1::2])
        pen.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=(255, 0, 0), width=2)
        pen.text((min(x1, x2) + 3, min(y1, y2) + 2), f"{box.score:.2f}", fill=(255, 0, 0))
    return np.asarray(image)
