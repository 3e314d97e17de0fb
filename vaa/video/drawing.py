"""Boxes drawn into a copy of a video, for a model or a person."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vaa.errors import VideoError
from vaa.types import Box, Pixels, Video, file_name
from vaa.video import sources
from vaa.video.encoding import write_h264

_BATCH = 32
_GREEN = (0, 255, 0)  # as in URF's program
_MARGIN = 9.0  # pixels: more than the width of an outline


def draw(video: Video, boxes: Sequence[Box], folder: Path, hold: bool, decoder: str) -> Video:
    """A copy of the video with each box and its confidence on its frame, and with `hold` until the next box's frame.

    The copy is in `folder` under the video's name and a hash of what is drawn; an existing one is not made again.

    Raises:
        VideoError: the video cannot be decoded, or the copy cannot be written.
    """
    size = sources.open_source(video).state().size
    content = json.dumps([size, hold, _GREEN, [[b.frame, *b.xyxy, b.score] for b in boxes]])
    stem = Path(file_name(video.id)).stem
    target = folder / f"{stem}.{hashlib.blake2b(content.encode(), digest_size=6).hexdigest()}.mp4"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}.tmp.mp4")
        try:
            by_frame = _boxes_by_frame(boxes, video.n_frames, hold)
            write_h264(temporary, video, 0, _drawn_frames(video, by_frame, decoder))
            temporary.replace(target)
        except (OSError, ValueError) as error:
            raise VideoError(f"{target}: the copy with boxes cannot be written: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    return Video(f"{video.id} with boxes", target, video.n_frames, video.fps, times=video.times)


def _boxes_by_frame(boxes: Sequence[Box], n_frames: int, hold: bool) -> dict[int, list[Box]]:
    by_frame: dict[int, list[Box]] = {}
    for box in boxes:
        by_frame.setdefault(box.frame, []).append(box)
    if hold:
        frames = sorted(by_frame)
        for first, following in zip(frames, [*frames[1:], n_frames], strict=True):
            by_frame |= dict.fromkeys(range(first, following), by_frame[first])
    return by_frame


def _drawn_frames(video: Video, boxes: dict[int, list[Box]], decoder: str) -> Iterator[Pixels]:
    for first in range(0, video.n_frames, _BATCH):
        batch = range(first, min(first + _BATCH, video.n_frames))
        for number, pixels in zip(batch, sources.frames(video, batch, decoder), strict=True):
            yield draw_boxes(pixels, boxes[number], _GREEN) if number in boxes else pixels


def draw_boxes(pixels: Pixels, boxes: Sequence[Box], colour: tuple[int, int, int], *, scores: bool = True) -> Pixels:
    """A copy of a frame of shape (height, width, 3) with boxes in it, and with `scores` the confidence of each."""
    import numpy as np
    from PIL import Image, ImageDraw

    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    height, width = pixels.shape[:2]
    for box in boxes:
        # Models return any number, and Pillow's time grows with the length of an edge: clip just outside the frame.
        x1, x2 = (min(max(x, -_MARGIN), width + _MARGIN) for x in box.xyxy[::2])
        y1, y2 = (min(max(y, -_MARGIN), height + _MARGIN) for y in box.xyxy[1::2])
        corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        canvas.rectangle(corners, outline=colour, width=2)
        if scores:
            canvas.text((corners[0] + 3, corners[1] + 2), f"{box.score:.2f}", fill=colour)
    return np.asarray(image)
