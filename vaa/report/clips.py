"""A still and a clip of a part of a video, as files that browsers show."""

from __future__ import annotations

import errno
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vaa.errors import VideoError
from vaa.evaluation.alert_intervals import Interval
from vaa.report.files import write_bytes
from vaa.types import Box, Pixels, Video
from vaa.video import sources
from vaa.video.drawing import draw_boxes
from vaa.video.encoding import write_h264
from vaa.video.numbering import Orientation, decoding_times_only, frame_times, open_stream, open_track, orientation

_BATCH = 32
_ANNOTATED = (255, 140, 0)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def write_still(
    file: Path, video: Video, frame: int, decoder: str, max_side: int = 1280, annotated: Sequence[Box] = ()
) -> None:
    """Write one frame as JPEG, reduced to at most `max_side` pixels a side, with the annotated boxes drawn into it.

    Raises:
        VideoError: the frame cannot be decoded.
        OSError: the file cannot be written.
    """
    from PIL import Image

    pixels = sources.frames(video, [frame], decoder)[0]
    image = Image.fromarray(draw_boxes(pixels, annotated, _ANNOTATED, scores=False) if annotated else pixels)
    image.thumbnail((max_side, max_side))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    write_bytes(file, content.getvalue())


def write_clip(file: Path, video: Video, interval: Interval, decoder: str) -> None:
    """Write the frames [start, stop) as MP4, without sound.

    Packets are copied where that gives exactly these frames: H.264 in MP4, from a key frame on. Otherwise the frames
    are encoded again as H.264.

    Raises:
        VideoError: a frame cannot be decoded or encoded.
        OSError: the file cannot be written.
    """
    import av

    temporary = file.with_name(f".{os.getpid()}.tmp.mp4")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not (copy_packets(temporary, video, interval) and _is_exact(temporary, video, interval, decoder)):
            write_h264(temporary, video, interval[0], _pictures(video, interval, decoder))
        temporary.replace(file)
    except av.FFmpegError as error:
        if error.errno in _NO_SPACE:
            raise OSError(error.errno, os.strerror(error.errno), str(file)) from error
        raise VideoError(f"{video.path}: no clip of frames {interval[0]} to {interval[1] - 1}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def copy_packets(target: Path, video: Video, interval: Interval) -> bool:
    """Copy the packets of the frames [start, stop) into an MP4 file; False where they are not a closed group.

    Raises:
        VideoError: the video cannot be opened.
        FFmpegError: the file cannot be written.
    """
    import av

    if video.source != "file":
        return False
    start, stop = interval
    track = open_track(video.path)
    codec = track.stream.codec_context
    playable = codec.name == "h264" and codec.pix_fmt == "yuv420p" and "mp4" in track.file.format.name
    if not playable or decoding_times_only(track) or orientation(video.path, track.first) != Orientation():
        return False
    times = frame_times(track)
    if times is None or len(times) < stop:
        return False
    wanted = times[start:stop].tolist()
    first = next((k for k, packet in enumerate(track.packets) if packet.pts == wanted[0]), None)
    if first is None or not track.packets[first].keyframe:
        return False
    copied = track.packets[first : first + len(wanted)]
    if any(packet.discard or packet.dts is None for packet in copied):
        return False
    if sorted(packet.pts or 0 for packet in copied) != wanted:
        return False
    file, stream = open_stream(video.path)
    file.seek(min(wanted[0], copied[0].dts or 0), stream=stream)
    with file, av.open(str(target), "w", format="mp4") as container:
        output = container.add_stream_from_template(stream)
        packets = itertools.dropwhile(lambda packet: packet.pts != wanted[0], file.demux(stream))
        for packet in itertools.islice(packets, len(wanted)):
            packet.pts, packet.dts = packet.pts - wanted[0], packet.dts - wanted[0]
            packet.stream = output
            container.mux(packet)
    return True


def _is_exact(clip: Path, video: Video, interval: Interval, decoder: str) -> bool:
    """Whether a clip has the number of frames, the first and the last frame of the interval."""
    start, stop = interval
    try:
        n_frames = sources.VideoFile(path=clip, decoder="pyav").info().n_frames
        ends = sources.frames(Video(video.id, clip, n_frames, video.fps), [0, n_frames - 1], "pyav")
    except VideoError:
        return False
    return n_frames == stop - start and bool(np.array_equal(ends, sources.frames(video, [start, stop - 1], decoder)))


def _pictures(video: Video, interval: Interval, decoder: str) -> Iterator[Pixels]:
    start, stop = interval
    for first in range(start, stop, _BATCH):
        yield from sources.frames(video, range(first, min(first + _BATCH, stop)), decoder)
