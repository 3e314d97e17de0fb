"""Decoders of video files: decord and PyAV. Only streams are decoded elsewhere (vaa/streaming/stream.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vaa.errors import VideoError
from vaa.types import Pixels
from vaa.video.numbering import (
    Orientation,
    count_frames,
    decode_from_key,
    decoding_times_only,
    frame_times,
    is_cover,
    open_stream,
    open_track,
    orientation,
    seekable,
)
from vaa.video.seeking import SeekError, index_packets

REENCODE_HINT = "Encode it again: ffmpeg -i OLD -vf setpts=N/25/TB -r 25 NEW.mp4 (with its own frame rate for 25)."
"""What to do with a file whose timestamps cannot be used."""
_DECORD_ORIENTATIONS = (Orientation(), Orientation(False, True, True))
"""Decord applies these: none, and a rotation by 180 degrees."""
_DECORD_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")
"""Formats in which decord reaches the key frame that it seeks to; in MPEG-TS, MPEG-PS, ASF, FLV, MXF and NUT it may not
do so."""
_BATCH = 8
"""Frames that decord decodes in one call: a larger result is allocated anew each time, which doubles the cost."""


@runtime_checkable
class Decoder(Protocol):
    """An open video file."""

    n_frames: int
    fps: float
    times: NDArray[np.floating] | None
    """When the frames are shown, in seconds, ascending, shape (n_frames,); None where the file does not say it."""

    def read(self, numbers: Sequence[int]) -> Pixels:
        """The frames of these numbers, ascending, as RGB of shape (n, height, width, 3).

        Raises:
            VideoError: the file is damaged.
        """

    def stop_readahead(self) -> None:
        """Decode nothing until the next `read`."""


class DecordDecoder:
    """Decord, for the files that it numbers as a player does; the others are refused. It has no AV1 decoder."""

    def __init__(self, path: Path) -> None:
        import av
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._av, self._path, self._errors = av, path, (RuntimeError, decord.DECORDError)
        self._reader = self._try(lambda: decord.VideoReader(str(path), num_threads=1))
        self.n_frames, self.fps = len(self._reader), float(self._reader.get_avg_fps())
        self.times = self._try(lambda: self._reader.get_frame_timestamp(range(self.n_frames)))[:, 0]
        problem = self._misnumbered(self.times) if self.n_frames else None
        if problem:
            raise VideoError(
                f"{path}: decord would show other frames than a player ({problem}). Use decoder=pyav. Or: "
                f"{REENCODE_HINT}"
            )

    def _misnumbered(self, times: Any) -> str | None:
        """Why decord's numbers are not those of the pictures that a player shows, by the times (s) that it lists.

        Decord sorts the times of all packets, hidden ones too. It seeks to a key frame by time, not exactly in some
        containers, and takes its number from its place among the packets. It does not mirror.
        """
        if times[0] < 0 or (np.diff(times) <= 0).any():
            return "an edit list hides some, or several have the same timestamp"
        track = open_track(self._path)
        if track.file.format.name not in _DECORD_FORMATS or not seekable(track):
            return f"it seeks inexactly in {track.stream.codec.name} in files of the format {track.file.format.name}"
        if sum(not is_cover(stream) for stream in track.file.streams.video) > 1:
            return "it has several video tracks"
        if orientation(self._path, track.first) not in _DECORD_ORIENTATIONS:
            return "they are rotated or mirrored"
        expected = frame_times(track)
        if expected is None:
            return "timestamps go back, or several have the same: two recordings joined"
        seconds = (expected - expected[0]) * float(track.stream.time_base)
        gap = np.diff(seconds).min(initial=1.0)
        if len(seconds) != len(times) or np.abs(seconds - times + times[0]).max() > gap / 2:
            return "an edit list hides some, or they refer to pictures that are not in the file"
        keys = [(number, packet.pts) for number, packet in enumerate(track.packets) if packet.keyframe]
        numbers, key_times = np.array(keys, dtype=np.int64).T
        if (np.searchsorted(expected, key_times) != numbers).any():
            return "some are shown before a key frame that is stored before them: open groups of pictures"
        try:
            [*index_packets(track, expected).frames(numbers[1:2].tolist() or [0])]
        except (SeekError, self._av.FFmpegError):
            return "a key frame is incomplete (intra refresh) or damaged; does it play?"
        return None

    def read(self, numbers: Sequence[int]) -> Pixels:
        """See Decoder."""
        pixels = np.empty((len(numbers), *self._read_batch([]).shape[1:]), dtype=np.uint8)
        for first in range(0, len(numbers), _BATCH):
            pixels[first : first + _BATCH] = self._read_batch(numbers[first : first + _BATCH])
        return pixels

    def _read_batch(self, numbers: Sequence[int]) -> Pixels:
        return np.asarray(self._try(lambda: self._reader.get_batch([*numbers]).asnumpy()), dtype=np.uint8)

    def stop_readahead(self) -> None:
        """Decord goes on decoding behind the last frame that was read; seeking to the start ends that."""
        self._try(lambda: self._reader.seek(0))

    def _try(self, action: Any) -> Any:
        try:
            return action()
        except self._errors as error:
            raise VideoError(
                f"{self._path}: decord cannot decode it (damaged, not a video, or a codec it lacks, such as AV1). "
                f"Does it play? Try decoder=pyav. [{str(error).strip().splitlines()[-1][:120] if str(error) else ''}]"
            ) from error


class PyAVDecoder:
    """The default, for every codec that FFmpeg decodes; it seeks by timestamps.

    Where timestamps do not number the frames (`frame_times`) or seeking does not reach one, all are decoded in one
    forward pass; going back starts that again. Which picture a number stands for depends on the file alone.
    """

    def __init__(self, path: Path) -> None:
        import av

        self._av, self._path = av, path
        track = open_track(path)
        self.fps = float(track.stream.average_rate or 0)
        self._times = None if decoding_times_only(track) else frame_times(track)
        try:
            self.n_frames = count_frames(track) if self._times is None else len(self._times)
        except av.FFmpegError as error:
            raise VideoError(
                f"{path}: its beginning is damaged. Does it play? Get the file again. [{error}]"
            ) from error
        self._index = index_packets(track, self._times) if self._times is not None and seekable(track) else None
        self._size = track.first.width, track.first.height
        self.times: NDArray[np.floating] | None = None
        ticks = self._times
        if decoding_times_only(track):  # they have the same distances
            ticks = np.array([p.pts for p in track.packets if p.pts is not None and not p.discard], dtype=np.int64)
        if ticks is not None and len(ticks) == self.n_frames:
            self.times = ticks * float(track.stream.time_base)
        self._next = 0
        self._decoded: Iterator[Any] = iter(())
        # One for all frames: making one takes longer than using it.
        self._reformatter = av.video.reformatter.VideoReformatter()

    def read(self, numbers: Sequence[int]) -> Pixels:
        """See Decoder."""
        pixels = self._read_by_seeking(numbers) or {n: self._to_rgb(frame) for n, frame in self._read_forward(numbers)}
        return np.stack([pixels[number] for number in numbers])

    def stop_readahead(self) -> None:
        """Nothing is decoded ahead."""

    def _read_by_seeking(self, numbers: Sequence[int]) -> dict[int, Pixels]:
        """By number; empty where seeking does not reach all of them, and from then on."""
        try:
            frames = self._index.frames(numbers) if self._index else ()
            return {number: self._to_rgb(frame) for number, frame in frames}
        except (SeekError, self._av.FFmpegError):
            self._index = None
            return {}

    def _read_forward(self, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Numbers with frames, from the start of the file.

        Raises:
            VideoError: the file ends before the last of them, or one is missing or damaged (FFmpeg fills in what is
                missing).
        """
        if not self._next or min(numbers) < self._next:
            self._decoded = self._decode_numbered()
        needed = sorted(set(numbers), reverse=True)
        reason = ""
        try:
            for number, frame in self._decoded:
                self._next = number + 1
                if number > needed[-1] or (number == needed[-1] and frame.is_corrupt):
                    self._next = 0
                    raise VideoError(f"{self._path}: frame {needed[-1]} is damaged. Does it play? Get the file again.")
                if number == needed[-1]:
                    yield number, frame
                    needed.pop()
                if not needed:
                    return
        except self._av.FFmpegError as error:
            reason = str(error)[:120]
        self._next = 0
        raise VideoError(
            f"{self._path}: decoding stopped before frame {needed[0]} of {self.n_frames}: is the file damaged or cut "
            f"off? Get it again, or encode what is left: ffmpeg -i OLD NEW.mp4. [{reason}]"
        )

    def _decode_numbered(self) -> Iterator[tuple[int, Any]]:
        frames = decode_from_key(*open_stream(self._path))
        if self._times is None:
            yield from enumerate(frames)
        else:
            numbers = {int(time): number for number, time in enumerate(self._times)}
            yield from ((numbers[frame.pts], frame) for frame in frames if frame.pts in numbers)

    def _to_rgb(self, frame: Any) -> Pixels:
        """As players show it: rotated and mirrored as the file says, in the size of the first frame."""
        width, height = self._size
        rgb = self._reformatter.reformat(frame, width, height, format="rgb24").to_ndarray()
        return orientation(self._path, frame).apply(np.asarray(rgb, dtype=np.uint8))


DECODERS: dict[str, Any] = {"decord": DecordDecoder, "pyav": PyAVDecoder}
"""By the value of `decoder` in the configuration."""
