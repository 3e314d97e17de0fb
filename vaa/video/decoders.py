"""Decoders of video files: decord and PyAV. Only streams are decoded elsewhere (vaa/streaming/stream.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vaa.errors import VideoError
from vaa.types import Pixels
from vaa.video.seeking import Packet, SeekError, index_packets

REENCODE_HINT = "Encode it again: ffmpeg -i OLD -vf setpts=N/25/TB -r 25 NEW.mp4 (with its own frame rate for 25)."
"""What to do with a file whose timestamps cannot be used."""
_BATCH = 8
"""Frames that decord decodes in one call: a larger result is allocated anew each time, which doubles the cost."""


@runtime_checkable
class Decoder(Protocol):
    """An open video file."""

    n_frames: int
    fps: float

    def read(self, numbers: Sequence[int]) -> Pixels:
        """The frames of these numbers, ascending, as RGB of shape (n, height, width, 3).

        Raises:
            VideoError: the file is damaged.
        """

    def stop_readahead(self) -> None:
        """Decode nothing until the next `read`."""


class DecordDecoder:
    """The default: fast random access. It has no AV1 decoder."""

    def __init__(self, path: Path) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._path, self._errors = path, (RuntimeError, decord.DECORDError)
        self._reader = self._try(lambda: decord.VideoReader(str(path), num_threads=1))
        self.n_frames, self.fps = len(self._reader), float(self._reader.get_avg_fps())
        self._check_times(self._try(lambda: self._reader.get_frame_timestamp(range(self.n_frames))))

    def _check_times(self, times: Any) -> None:
        """Decord seeks by timestamps: where they are not unique it silently returns other frames."""
        if self.n_frames and (times[0, 0] < 0 or (np.diff(times[:, 0]) <= 0).any()):
            raise VideoError(
                f"{self._path}: decord would number its frames wrongly (an edit list hides some, or several have the "
                f"same timestamp). Use decoder=pyav. Or: {REENCODE_HINT}"
            )

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
    """For every codec that FFmpeg decodes; it seeks by timestamps.

    Where timestamps are not unique, or seeking does not reach a frame, frames are counted in one forward pass; going
    back starts that again.
    """

    def __init__(self, path: Path) -> None:
        import av

        self._av, self._path = av, path
        try:
            file = self._open()
            if not file.streams.video:
                raise VideoError(f"{path}: has no video stream, only sound or text. Remove it from the folder.")
            stream = file.streams.video[0]
            self.fps = float(stream.average_rate or 0)
            packets = [Packet(p.pts, p.dts, p.is_keyframe, p.is_discard) for p in file.demux(stream) if p.size]
        except av.FFmpegError as error:
            raise VideoError(
                f"{path}: FFmpeg cannot open it: is it a video, and complete? Does it play? [{error}]"
            ) from error
        # Not stream.frames: that is taken from the header, and an edit list discards some of them.
        self.n_frames = sum(not packet.discard for packet in packets)
        self._index = index_packets(file, stream, packets)
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
        """Numbers with frames, counted from the start of the file.

        Raises:
            VideoError: the file ends before the last of them, or a frame is damaged (FFmpeg fills in what is missing).
        """
        if not self._next or min(numbers) < self._next:
            self._next, self._decoded = 0, self._open().decode(video=0)
        needed, last = set(numbers), max(numbers)
        while self._next <= last:
            number = self._next
            try:
                frame = next(self._decoded)
            except (StopIteration, self._av.FFmpegError) as error:
                self._next = 0
                raise VideoError(
                    f"{self._path}: decoding stopped before frame {last} of {self.n_frames}: is the file damaged or "
                    f"cut off? Get it again, or encode what is left: ffmpeg -i OLD NEW.mp4. [{str(error)[:120]}]"
                ) from error
            if number in needed and frame.is_corrupt:
                self._next = 0
                raise VideoError(f"{self._path}: frame {number} is damaged. Does it play? Get the file again.")
            self._next += 1
            if number in needed:
                yield number, frame

    def _open(self) -> Any:
        file = self._av.open(str(self._path))
        if file.streams.video:
            file.streams.video[0].thread_type = "NONE"  # as with decord: other processes use the other cores
        return file

    def _to_rgb(self, frame: Any) -> Pixels:
        """Rotated as players show it."""
        return np.rot90(self._reformatter.reformat(frame, format="rgb24").to_ndarray(), round(frame.rotation / 90))


DECODERS: dict[str, Any] = {"decord": DecordDecoder, "pyav": PyAVDecoder}
"""By the value of `decoder` in the configuration."""
