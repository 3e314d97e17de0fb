"""Readers of video files: decord and PyAV; nothing else decodes, but streams (online/stream.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vaa.errors import VideoError
from vaa.types import Pixels
from vaa.video.seeking import Packet, SeekError, seeking

ANEW = "Write it anew: ffmpeg -i OLD -vf setpts=N/25/TB -r 25 NEW.mp4 (with its own rate for 25)."
"""What to do with a file whose times are of no use."""
_AT_ONCE = 8
"""Frames that decord is asked for at once: more would each time go into new memory, which costs as much again."""


@runtime_checkable
class Decoder(Protocol):
    """An open video file."""

    n_frames: int
    fps: float

    def get(self, numbers: Sequence[int]) -> Pixels:
        """The frames of these numbers, ascending, as RGB of shape (n, height, width, 3)."""


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
        """Decord finds frames by their times: where these do not tell them apart it gives others, and says nothing."""
        if self.n_frames and (times[0, 0] < 0 or (np.diff(times[:, 0]) <= 0).any()):
            raise VideoError(
                f"{self._path}: decord would number its frames wrongly (an edit list hides some, or several have one "
                f"time). Use decoder=pyav. Or: {ANEW}"
            )

    def get(self, numbers: Sequence[int]) -> Pixels:
        """See Reader."""
        found = np.empty((len(numbers), *self._some([]).shape[1:]), dtype=np.uint8)
        for first in range(0, len(numbers), _AT_ONCE):
            found[first : first + _AT_ONCE] = self._some(numbers[first : first + _AT_ONCE])
        return found

    def _some(self, numbers: Sequence[int]) -> Pixels:
        return np.asarray(self._try(lambda: self._reader.get_batch([*numbers]).asnumpy()), dtype=np.uint8)

    def rest(self) -> None:
        """Decode no further: left alone, decord goes on behind the last frame that was asked for."""
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
    """The second, for every codec FFmpeg knows: frames are found by their times.

    Where these do not tell them apart, or do not lead to them, they are counted in one forward pass; going back starts
    it again.
    """

    def __init__(self, path: Path) -> None:
        import av

        self._av, self._path = av, path
        try:
            file = self._open()
            if not file.streams.video:
                raise VideoError(f"{path}: has no video stream, only sound or text. Take it out of the folder.")
            stream = file.streams.video[0]
            self.fps = float(stream.average_rate or 0)
            packets = [Packet(p.pts, p.dts, p.is_keyframe, p.is_discard) for p in file.demux(stream) if p.size]
        except av.FFmpegError as error:
            raise VideoError(
                f"{path}: FFmpeg cannot open it: is it a video, and whole? Does it play? [{error}]"
            ) from error
        # Not stream.frames: it is what the header says, and an edit list hides some of them.
        self.n_frames = sum(not packet.hidden for packet in packets)
        self._seeking = seeking(file, stream, packets)
        self._next = 0
        self._stream: Iterator[Any] = iter(())
        # One for all frames: to make it takes longer than to use it.
        self._painter = av.video.reformatter.VideoReformatter()

    def get(self, numbers: Sequence[int]) -> Pixels:
        """See Reader."""
        found = self._sought(numbers) or {number: self._upright(frame) for number, frame in self._counted(numbers)}
        return np.stack([found[number] for number in numbers])

    def _sought(self, numbers: Sequence[int]) -> dict[int, Pixels]:
        """By number; nothing where times do not lead to all of them, and from then on."""
        try:
            pairs = self._seeking.frames(numbers) if self._seeking else ()
            return {number: self._upright(frame) for number, frame in pairs}
        except (SeekError, self._av.FFmpegError):
            self._seeking = None
            return {}

    def _counted(self, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Numbers with frames, from the beginning on.

        Raises:
            VideoError: it ends before the last, or a picture is damaged, and the decoder has made something up.
        """
        if not self._next or min(numbers) < self._next:
            self._next, self._stream = 0, self._open().decode(video=0)
        wanted, last = set(numbers), max(numbers)
        while self._next <= last:
            number = self._next
            try:
                frame = next(self._stream)
            except (StopIteration, self._av.FFmpegError) as error:
                self._next = 0
                raise VideoError(
                    f"{self._path}: decoding stopped before frame {last} of {self.n_frames}: is the file damaged or "
                    f"cut? Get it again, or write anew what is left: ffmpeg -i OLD NEW.mp4. [{str(error)[:120]}]"
                ) from error
            if number in wanted and frame.is_corrupt:
                self._next = 0
                raise VideoError(f"{self._path}: frame {number} is damaged. Does it play? Get the file again.")
            self._next += 1
            if number in wanted:
                yield number, frame

    def _open(self) -> Any:
        file = self._av.open(str(self._path))
        if file.streams.video:
            file.streams.video[0].thread_type = "NONE"  # as decord is told: there are other processes for that
        return file

    def _upright(self, frame: Any) -> Pixels:
        """As players show it."""
        return np.rot90(self._painter.reformat(frame, format="rgb24").to_ndarray(), round(frame.rotation / 90))


DECODERS: dict[str, Any] = {"decord": DecordDecoder, "pyav": PyAVDecoder}
"""By the name that `reader` has in the configuration."""
