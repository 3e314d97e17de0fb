"""Frames of a video written as an H.264 file with the same times."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from vaa.types import Pixels, Video

_TIME_BASE = Fraction(1, 90000)


def write_h264(target: Path, video: Video, first: int, pictures: Iterable[Pixels]) -> None:
    """Write RGB pictures of shape (height, width, 3), the frames from `first` on, as MP4; odd sides lose a pixel.

    Raises:
        FFmpegError: the file cannot be written.
    """
    import av

    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(video.fps or 25).limit_denominator(1001))
        if video.times is not None:
            stream.codec_context.time_base = _TIME_BASE
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "preset": "veryfast"}
        for k, pixels in enumerate(pictures):
            even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]  # yuv420p needs even sides
            if k == 0:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            if video.times is not None:
                seconds = video.seconds(first + k) - video.seconds(first)
                frame.time_base, frame.pts = _TIME_BASE, round(seconds / _TIME_BASE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
