"""Which pictures of a video file are its frames, in which order: from its packets and its first picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaa.errors import VideoError
from vaa.types import Pixels

_REENCODE = "Encode it again: ffmpeg -i OLD NEW.mp4."


class Packet(NamedTuple):
    """One picture as the container lists it; times in ticks of the stream."""

    pts: int | None
    dts: int | None
    keyframe: bool
    discard: bool
    """Hidden by an edit list: it has to be decoded, but is not a frame of the video."""


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """A video file opened by PyAV, its track (`stream`) and the first picture of it."""

    file: Any
    stream: Any
    first: Any
    """PyAV's frame."""
    packets: Sequence[Packet]
    """From the first key frame on."""


def open_track(path: Path) -> VideoTrack:
    """Open a file, list its packets and decode its first picture.

    The track is the one that FFmpeg takes for the main one (`av_find_best_stream`): marked as default, then of the
    higher bit rate, then the first. A cover picture is no video.

    Raises:
        VideoError: FFmpeg cannot open the file or decode its first picture, or it has no video track.
    """
    import av

    packets: list[Packet] = []
    first = None
    try:
        file, stream = open_stream(path)
        demuxed = file.demux(stream)
        for packet in demuxed:
            if packet.is_keyframe or packets:
                packets += [_listed(packet)] if packet.size else []  # the last one has none: it ends decoding
                first = next(iter(packet.decode()), None)
            if first is not None:
                break
        packets += [_listed(packet) for packet in demuxed if packet.size]
    except av.FFmpegError as error:
        raise VideoError(
            f"{path}: FFmpeg cannot open it: is it a video, and complete? Does it play? [{error}]"
        ) from error
    if first is not None and stream.codec.name == "h263" and not first.key_frame:
        raise VideoError(f"{path}: its first picture is no key frame, though the file says so. {_REENCODE}")
    if stream.codec.name == "mpeg1video" and any(packet.discard for packet in packets):
        raise VideoError(f"{path}: FFmpeg shows other pictures of MPEG-1 than its edit list says. {_REENCODE}")
    if first is None:
        raise VideoError(f"{path}: has no key frame that FFmpeg can decode. Does it play? Get the file again.")
    return VideoTrack(file=file, stream=stream, first=first, packets=packets)


def _listed(packet: Any) -> Packet:
    return Packet(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard)


def open_stream(path: Path) -> tuple[Any, Any]:
    """PyAV's container and stream of `open_track`.

    Raises:
        FFmpegError: FFmpeg cannot open the file.
        VideoError: it has no video track.
    """
    import av

    file = av.open(str(path))
    stream: Any = file.streams.best("video")
    if stream is None or is_cover(stream):
        raise VideoError(f"{path}: has no video stream, only sound or text. Remove it from the folder.")
    stream.thread_type = "NONE"  # as with decord: other processes use the other cores
    return file, stream


def is_cover(stream: Any) -> bool:
    """Whether a track of PyAV's is the picture of a cover, not a video."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def decode_from_key(file: Any, stream: Any) -> Iterator[Any]:
    """All pictures of a file that was just opened, beginning with the first key frame."""
    started = False
    for packet in file.demux(stream):
        started = started or packet.is_keyframe
        if started:
            yield from packet.decode()


def frame_times(track: VideoTrack) -> NDArray[np.int64] | None:
    """The pts of all frames, ascending; None where they do not number the frames.

    Pictures that are shown before the first one that the decoder outputs refer to pictures that are not in the file.
    Times do not number frames if two have the same, or if decoding times go back: two recordings joined.

    Raises:
        VideoError: the first key frame is incomplete or damaged.
    """
    first, key = track.first.pts, track.packets[0].pts
    shown = [packet.pts for packet in track.packets if not packet.discard]
    decoded = np.array([packet.dts for packet in track.packets if packet.dts is not None], dtype=np.int64)
    if first is None or key is None or None in shown or (np.diff(decoded) < 0).any():
        return None
    times = np.unique(np.array(shown, dtype=np.int64))
    if len(times) < len(shown):
        return None
    if first > times[times >= key].min(initial=first):
        raise VideoError(
            f"{track.file.name}: its first key frame is damaged or incomplete. Does it play? Get the file again."
        )
    return np.asarray(times[times >= first], dtype=np.int64)


def decoding_times_only(track: VideoTrack) -> bool:
    """Whether pts may be decoding times, as in AVI: they ascend, and the codec may have frames in another order."""
    times = np.array([packet.pts for packet in track.packets if packet.pts is not None], dtype=np.int64)
    in_order = len(times) > 1 and bool((np.diff(times) > 0).all())
    container: str = track.file.format.name
    reordered = bool(track.stream.codec_context.has_b_frames)
    return reordered and (container == "avi" or (in_order and "mp4" not in container))


def count_frames(track: VideoTrack) -> int:
    """The number of frames where times do not number them; the file's own number may be wrong.

    Of the first group of pictures, those that the decoder outputs are counted: the others refer to pictures that are
    not in the file. Of the other groups all are.

    Raises:
        FFmpegError: the first group is damaged.
    """
    file, stream = open_stream(Path(track.file.name))
    stored = decoded = 0
    for packet in file.demux(stream):
        if not packet.size or (packet.is_keyframe and decoded):
            break
        if stored or packet.is_keyframe:
            stored += not packet.is_discard
            decoded += len(packet.decode())
    decoded += len(stream.decode(None))
    return sum(not packet.discard for packet in track.packets) - stored + decoded


def seekable(track: VideoTrack) -> bool:
    """Whether decoding can begin at each key frame that is listed.

    Some packets in MPEG-PS have no times of their own: FFmpeg's guesses after seeking may be those of others. H.263 in
    AVI and MPEG-PS lists key frames that are none.
    """
    return bool(track.file.format.name != "mpeg" and track.stream.codec.name != "h263")


class Orientation(NamedTuple):
    """How a picture is shown: with rows and columns exchanged or not, then upside down or not, mirrored or not."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def apply(self, pixels: Pixels) -> Pixels:
        """A picture, of shape (height, width, 3), as it is shown."""
        pixels = pixels.swapaxes(0, 1) if self.transposed else pixels
        return pixels[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


def orientation(source: Path | str, frame: Any) -> Orientation:
    """From the display matrix of PyAV's frame: x' = ax + cy, y' = bx + dy.

    Raises:
        VideoError: it turns the picture by other than a multiple of 90 degrees.
    """
    from av.sidedata import sidedata

    container: Any = sidedata.SideDataContainer  # its stub has no constructor
    # `frame.side_data` would store the container in the frame that it refers to: such a cycle keeps the picture in
    # memory until the next garbage collection.
    matrix = container(frame).get("DISPLAYMATRIX")
    values = np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]] if matrix else np.zeros(4)
    if not values.any():
        return Orientation()
    a, b, c, d = (values / np.abs(values).max()).round(2).tolist()
    if a and d and not b and not c:
        return Orientation(False, d < 0, a < 0)
    if b and c and not a and not d:
        return Orientation(True, b < 0, c < 0)
    raise VideoError(f"{source}: players rotate it by less than 90 degrees. {_REENCODE}")
