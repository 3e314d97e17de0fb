"""Sources of frames: a video file, a folder of images, the frames of a live stream. All are read by frame number."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vaa import process
from vaa.errors import ConfigError, DecodeTimeoutError, VideoError
from vaa.frame_times import FrameTimes
from vaa.types import Pixels, Video
from vaa.video.decoders import DECODERS, REENCODE_HINT, Decoder

log = logging.getLogger("vaa")
T = TypeVar("T")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class VideoInfo:
    """Number of frames, frames per second, and where the rate varies the times of the frames.

    `timed`: the source says when each frame is shown; if it does not, frame / fps is only a guess.
    """

    n_frames: int
    fps: float
    times: FrameTimes | None = None
    timed: bool = True


class FileState(NamedTuple):
    """Changes when the content changes, and is cheap to get; times are in nanoseconds."""

    path: str
    size: int
    modified: int


@runtime_checkable
class FrameSource(Protocol):
    """The frames of one video, by number from 0."""

    def info(self) -> VideoInfo:
        """Number, rate and times of the frames; this may open a file."""

    def read(self, numbers: Sequence[int]) -> Pixels:
        """The frames of these numbers (ascending), RGB of shape (n, height, width, 3).

        Raises:
            VideoError: a frame is missing or cannot be decoded.
        """

    def stop_readahead(self) -> None:
        """Decode nothing until the next `read`."""

    def state(self) -> FileState:
        """Tells whether a digest computed earlier is still valid.

        Raises:
            VideoError: the source does not exist.
        """

    def digest(self) -> str:
        """A hash of the content, for cache keys; this reads all of it."""


@dataclass(frozen=True, kw_only=True)
class VideoFile:
    """A video file, opened by the named decoder when it is first read."""

    path: Path
    decoder: str

    def info(self) -> VideoInfo:
        """See FrameSource."""
        decoder = self._open()
        times = variable_times(decoder.times, decoder.fps)
        return VideoInfo(decoder.n_frames, decoder.fps, times, timed=decoder.times is not None)

    def read(self, numbers: Sequence[int]) -> Pixels:
        """See FrameSource."""
        return self._open().read(numbers)

    def stop_readahead(self) -> None:
        """Decord decodes up to two thousand frames ahead: 12 GB at 1920 by 1080."""
        with suppress(VideoError):
            self._open().stop_readahead()

    def state(self) -> FileState:
        """See FrameSource."""
        try:
            stat = self.path.stat()
        except OSError as error:
            raise VideoError(f"{self.path}: no such video file.") from error
        return FileState(str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)

    def digest(self) -> str:
        """See FrameSource."""
        return _file_digest(self.path)

    def _open(self) -> Decoder:
        if self.decoder not in DECODERS:
            raise ConfigError(f"decoder={self.decoder}: choose one of {', '.join(DECODERS)}.")
        if not self.path.is_file():
            raise VideoError(f"{self.path}: no such video file.")
        opened: Decoder = _open_decoders(os.getpid())(self.path, self.path.stat().st_mtime_ns, self.decoder)
        return opened


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A folder with one image a frame, in the order of the last number in the file names; the lowest is frame 0.

    Hidden files (`._000.jpg`, `.DS_Store`) and files of other suffixes (`Thumbs.db`) are not frames. With `allow_gaps`
    numbers may be missing: a frame's number is its position then.
    """

    folder: Path
    fps: float
    allow_gaps: bool = False

    def info(self) -> VideoInfo:
        """See FrameSource."""
        return VideoInfo(len(self._images), self.fps)

    def read(self, numbers: Sequence[int]) -> Pixels:
        """See FrameSource."""
        from PIL import Image

        frames = []
        for number in numbers:
            file = self._images[number]
            try:
                with Image.open(file) as image:
                    frames.append(np.asarray(image.convert("RGB")))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise VideoError(f"{file}: cannot be decoded as an image: {error}") from error
            if frames[-1].shape != frames[0].shape:
                raise VideoError(f"{file}: its size differs from that of the other images of the video.")
        return np.stack(frames)

    def stop_readahead(self) -> None:
        """Nothing is read ahead."""

    def state(self) -> FileState:
        """The size of all images, and the last change to one of them or to the folder."""
        stats = [file.stat() for file in self._images]
        modified = max(stat.st_mtime_ns for stat in [*stats, self.folder.stat()])
        return FileState(str(self.folder.resolve()), sum(stat.st_size for stat in stats), modified)

    def digest(self) -> str:
        """See FrameSource."""
        digests = "".join(map(_file_digest, self._images))
        return hashlib.blake2b(digests.encode(), digest_size=16).hexdigest()

    @cached_property
    def _images(self) -> list[Path]:
        return numbered_images(self.folder, self.allow_gaps)


def numbered_images(folder: Path, allow_gaps: bool) -> list[Path]:
    """The images of a folder in the order of the last number in their names; see ImageFolder.

    Raises:
        VideoError: the folder is missing or has no image, or a number is missing, occurs twice or cannot be read.
    """
    try:
        entries = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"{folder}: no such folder of images.") from error
    files = [file for file in entries if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise VideoError(f"{folder}: no image in it. Known suffixes: {', '.join(IMAGE_SUFFIXES)}.")
    images: dict[int, Path] = {}
    for file in files:
        numbers = re.findall(r"[0-9]+", file.stem)
        if not numbers:
            raise VideoError(f"{file}: its name has no frame number.")
        number = int(numbers[-1])
        if number in images:
            raise VideoError(f"{file}: has the frame number of {images[number].name}. Remove one of them.")
        images[number] = file
    first, last = min(images), max(images)
    if not allow_gaps and len(images) < last - first + 1:
        missing = next(number for number in range(first, last) if number not in images)
        raise VideoError(
            f"{folder}: image {missing} of {first} to {last} is missing. If the video is whole without it: "
            "data.allow_gaps=true, which numbers frames by their position."
        )
    return [images[number] for number in sorted(images)]


@dataclass(frozen=True, kw_only=True)
class LiveFrames:
    """The latest frames of a stream, one file each (`live_frame_file`), so that other processes can read them too."""

    folder: Path
    n_frames: int
    fps: float

    def info(self) -> VideoInfo:
        """See FrameSource."""
        return VideoInfo(self.n_frames, self.fps)

    def read(self, numbers: Sequence[int]) -> Pixels:
        """See FrameSource."""
        try:
            return np.stack([np.load(live_frame_file(self.folder, number), allow_pickle=False) for number in numbers])
        except FileNotFoundError as error:
            raise VideoError(
                f"{self.folder}: frame {Path(error.filename).stem} is no longer stored (the model is too slow), or "
                "this is not a stream."
            ) from error

    def stop_readahead(self) -> None:
        """Nothing is read ahead."""

    def state(self) -> FileState:
        """A frame never changes once it is written."""
        return FileState(str(self.folder), 0, 0)

    def digest(self) -> str:
        """The folder, which is new for each connection."""
        return str(self.folder)


def live_frame_file(folder: Path, number: int) -> Path:
    """The NumPy file that a frame of a live stream is stored in."""
    return folder / f"{number}.npy"


def open_source(video: Video, decoder: str = "") -> FrameSource:
    """The source of a video's frames. `decoder` is not needed for `state` and `digest`."""
    if video.source in ("images", "images_with_gaps"):
        return ImageFolder(folder=video.path, fps=video.fps, allow_gaps=video.source == "images_with_gaps")
    if video.source == "live":
        return LiveFrames(folder=video.path, n_frames=video.n_frames, fps=video.fps)
    return VideoFile(path=video.path, decoder=decoder)


def probe(path: Path, decoder: str) -> VideoInfo:
    """What a video file consists of.

    Raises:
        VideoError: the file is missing, is not a video, or has no frame or no frame rate.
    """
    info = decode_with_timeout(path, VideoFile(path=path, decoder=decoder).info)
    if info.n_frames < 1:
        raise VideoError(f"{path}: has no video frame. Get the file again, or remove it.")
    if not 0 < info.fps < math.inf:
        raise VideoError(f"{path}: has no frame rate. {REENCODE_HINT}")
    return info


def average_rate(path: Path) -> float | None:
    """Frames per second as the header of a video file states them; None if it states none or cannot be read."""

    def read() -> float | None:
        import av

        try:
            with av.open(str(path)) as file:
                rate = file.streams.video[0].average_rate
        except (OSError, ValueError, IndexError):  # PyAV's errors are of these types too
            return None
        return float(rate) if rate else None

    try:
        return decode_with_timeout(path, read)
    except VideoError:
        return None


def variable_times(times: NDArray[np.floating] | None, fps: float) -> FrameTimes | None:
    """The times of frames, from the first one, in tenths of a millisecond; None where frame / fps is as good.

    That is where it is never more than half a frame from a time stamp: containers round these, to milliseconds in
    Matroska, which a limit on single steps would take for another rate, while a small error of the rate that the file
    states adds up, which such a limit would not find.
    """
    if times is None or not len(times) or not 0 < fps < math.inf:
        return None
    seconds = np.asarray(times, dtype=np.float64) - float(times[0])
    if (np.abs(seconds * fps - np.arange(len(seconds))) <= 0.5).all():
        return None
    return FrameTimes(np.round(seconds, 4))


def frames(video: Video, numbers: Sequence[int], decoder: str) -> Pixels:
    """Frames of a video by number (ascending): RGB of shape (n, height, width, 3).

    A number one past the end, a common mistake of annotations, gives the last frame.

    Raises:
        VideoError: the video is missing or damaged, makes the decoder hang, or does not have such a frame.
    """
    return decode_with_timeout(video.path, lambda: _read(video, numbers, decoder))


def stop_readahead(video: Video, decoder: str) -> None:
    """Decode nothing of this video until frames are read again."""
    open_source(video, decoder).stop_readahead()


def decode_with_timeout(path: Path, action: Callable[[], T]) -> T:
    """Run an action on a video; one that once made a decoder hang is opened again only under a longer time limit.

    Raises:
        DecodeTimeoutError: the action takes longer than `decode_timeout`, or did so before.
    """
    limit = process.decode_timeout()
    try:
        if _hanging.get(path, 0.0) < limit:
            return process.run_with_timeout(limit, action)
    except TimeoutError:
        _hanging[path] = limit
    raise DecodeTimeoutError(f"{path}: opening or decoding it {timeout_reason(_hanging[path])}")


_hanging: dict[Path, float] = {}
"""The time limit, in seconds, under which decoding each of these files was abandoned."""


def timeout_reason(limit: float) -> str:
    """The reason of a failure, for a file whose decoding reached the time limit in seconds."""
    return (
        f"took longer than {limit:g} s (decode_timeout) and was stopped. Does it play? If its disk or network share is "
        f"slow, allow more seconds: decode_timeout={2 * limit:g}"
    )


def _read(video: Video, numbers: Sequence[int], decoder: str) -> Pixels:
    source = open_source(video, decoder)
    n_frames = source.info().n_frames
    if abs(n_frames - video.n_frames) > 1:
        _warn_of_length(video.id, video.n_frames, n_frames)
    if max(numbers) > n_frames:
        raise VideoError(
            f"frame {max(numbers)} is needed, but {video.path} has {n_frames} frames and the data set lists "
            f"{video.n_frames}: is it another encoding of the video?"
        )
    return source.read([min(number, n_frames - 1) for number in numbers])


@cache
def _warn_of_length(video: str, listed: int, actual: int) -> None:
    log.warning("%s: the data set lists %d frames, the file has %d.", video, listed, actual)


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error}") from error


@cache
def _open_decoders(_process: int) -> Any:
    """The last two files of this process; using one that was open when the process was forked would abort it."""
    return lru_cache(maxsize=2)(_open_decoder)


def close_decoders() -> None:
    """Close the open files of this process: decord's threads may abort a process that ends while they decode."""
    opened = _open_decoders(os.getpid())
    opened.cache_clear()


def _open_decoder(path: Path, _modified: int, decoder: str) -> Decoder:
    opened: Decoder = DECODERS[decoder](path)
    return opened
