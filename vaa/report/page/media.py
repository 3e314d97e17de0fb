"""The files of a video for the page: the video or a copy of it, and stills where browsers do not play it."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from vaa.data.masks import boxes_at
from vaa.errors import DataError, VideoError
from vaa.report.clips import write_clip, write_still
from vaa.types import GroundTruth, Video
from vaa.video import sources
from vaa.video.numbering import frame_times, open_stream, open_track

log = logging.getLogger("vaa")

_CODECS = ("h264", "vp8", "vp9", "av1")
_CONTAINERS = {"mp4", "webm"}  # among FFmpeg's names of a format: mov,mp4,m4a,... and matroska,webm
_MAX_STILLS = 12
_STILL_SIDE = 480  # pixels


@dataclass(frozen=True)
class Media:
    """Addresses for the browser, relative to the run's folder where possible.

    `sources`: the video, of which the first that can be opened is played. `stills`: time in seconds and address.
    """

    sources: list[str]
    stills: list[tuple[float, str]]


def write_media(
    folder: Path, video: Video, number: int, copy: bool | Literal["encoded"], truth: GroundTruth | None = None
) -> Media:
    """Write what the page of a run's folder needs of its video of this number; see `Page` for `copy`.

    Stills have the annotated boxes or the outlines of masks drawn into them.

    Raises:
        OSError: a file cannot be written.
    """
    media = folder / "page" / "media"
    if copy == "encoded" and video.path.exists():
        encoded = media / f"{number}.mp4"
        try:
            write_clip(encoded, video, (0, video.n_frames), "pyav")
            return Media([_address(encoded, folder)], [])
        except VideoError as error:
            log.warning("%s: no encoded copy for the page: %s", video.id, error)
    unplayable = video.path.exists() and not is_playable(video)
    stills = _write_stills(media, video, number, folder, truth) if unplayable else []
    if not video.path.is_file():
        return Media([], stills)
    if copy:
        copied = media / f"{number}{video.path.suffix.lower()}"
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video.path, copied)
        return Media([_address(copied, folder)], stills)
    absolute = video.path.resolve()
    try:
        relative = quote(Path(os.path.relpath(absolute, folder.resolve())).as_posix())
    except ValueError:  # on another drive
        return Media([absolute.as_uri()], stills)
    return Media([relative, absolute.as_uri()], stills)


def is_playable(video: Video) -> bool:
    """Whether the common browsers play it: H.264 of 8 bits, VP8, VP9 or AV1, in MP4, WebM or Matroska."""
    import av

    def playable() -> bool:
        file, stream = open_stream(video.path)
        with file:
            codec = stream.codec_context
            name = codec.codec.canonical_name
            sampled = name != "h264" or codec.pix_fmt in ("yuv420p", "yuvj420p")
            return name in _CODECS and sampled and not _CONTAINERS.isdisjoint(file.format.name.split(","))

    if video.source != "file":
        return False
    try:
        return sources.decode_with_timeout(video.path, playable)
    except (VideoError, av.FFmpegError):
        return False


def _write_stills(
    media: Path, video: Video, number: int, folder: Path, truth: GroundTruth | None
) -> list[tuple[float, str]]:
    """Up to 12 stills at about equal distances, and where boxes or masks are annotated the middles of up to 12 spans.

    None of a video that cannot be decoded.
    """
    stills = []
    located = truth if truth and (truth.boxes or truth.masks is not None) else None
    spans = located.spans[:_MAX_STILLS] if located else ()
    try:
        middles = {min((span.start + span.stop) // 2, video.n_frames - 1) for span in spans}
        for k, frame in enumerate(sorted(middles.union(still_frames(video)))):
            still = media / f"{number}_{k}.jpg"
            annotated = boxes_at(located, frame) if located else ()
            write_still(still, video, frame, "pyav", _STILL_SIDE, annotated)
            stills.append((round(video.seconds(frame), 3), _address(still, folder)))
    except (DataError, IndexError) as error:
        log.info("%s: no stills for the page: %s", video.id, error)
    return stills


def still_frames(video: Video) -> list[int]:
    """The middles of up to 12 equal parts; a key frame instead, which is decoded alone, if one is in the same part.

    Raises:
        VideoError: the video cannot be opened.
    """
    n_parts = min(_MAX_STILLS, video.n_frames)
    if not n_parts:
        return []
    middles = ((np.arange(n_parts) + 0.5) * video.n_frames / n_parts).astype(np.int64)
    keys = sources.decode_with_timeout(video.path, lambda: _key_frames(video))
    if len(keys):
        nearest = keys[np.abs(keys - middles[:, None]).argmin(axis=1)]
        middles = np.where(nearest * n_parts // video.n_frames == np.arange(n_parts), nearest, middles)
    return [int(frame) for frame in middles]


def _key_frames(video: Video) -> NDArray[np.int64]:
    """The numbers of the frames that are key frames, as far as the file tells them."""
    if video.source != "file":
        return np.zeros(0, dtype=np.int64)
    track = open_track(video.path)
    with track.file:
        times = frame_times(track)
        keys = [packet.pts for packet in track.packets if packet.keyframe and packet.pts is not None]
    numbers = np.searchsorted(times, np.intersect1d(keys, times)) if times is not None else np.zeros(0)
    return numbers[numbers < video.n_frames].astype(np.int64)


def _address(file: Path, folder: Path) -> str:
    return quote(file.relative_to(folder).as_posix())
