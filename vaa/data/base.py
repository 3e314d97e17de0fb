"""What all data sets share: the interface, and how a video's id is made from its file name."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Protocol, runtime_checkable

from vaa.types import Dataset, Video, file_name

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".vob"),
    *(".ts", ".mts", ".m2ts", ".m2t", ".trp", ".tod", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".qt"),
    *(".ogv", ".ogm", ".dav", ".dv", ".divx", ".mxf", ".gxf", ".mk3d", ".nut", ".rm", ".rmvb", ".wtv", ".mjpeg"),
    *(".mjpg", ".h264", ".h265", ".hevc", ".ivf", ".amv", ".y4m"),
)
"""Of files that are videos. `data=folder` opens files with other suffixes to see whether they are (search.py)."""
_MAX_LENGTH = 200  # bytes: file systems allow 255, and copies with boxes add a few


@runtime_checkable
class DatasetLoader(Protocol):
    """What `data=NAME` composes: the loader of a data set in one layout."""

    def load(self) -> Dataset:
        """The videos and their ground truth.

        Raises:
            DataError: the data set is missing, or is in another layout.
            ConfigError: a field is wrong.
        """


@runtime_checkable
class ChecksFiles(Protocol):
    """A data set that can say which of its files are missing, all at once."""

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """A message for each file that `load` needs and that is not there; with `videos` also about the video files."""


@runtime_checkable
class HasExpectedVideos(Protocol):
    """A data set that is made on first use."""

    def expected_videos(self) -> tuple[Video, ...]:
        """The videos that `load` returns, without making them."""


def video_id(name: str) -> str:
    """The last part of a path (of either notation), without a video suffix, so that no id points to another folder."""
    base = re.split(r"[/\\]", name)[-1]
    return base[: -len(Path(base).suffix)] if Path(base).suffix.lower() in VIDEO_SUFFIXES else base


def known_names(id_: str) -> tuple[str, ...]:
    """The names under which authors list or store a video, the exact ones first.

    Some programs cannot handle `#`, which is in most names of XD-Violence, so CoReVAD's videos and answers lack it.
    """
    return tuple(dict.fromkeys((id_, f"{id_}.mp4", id_.replace("#", ""), f"{id_.replace('#', '')}.mp4")))


def why_invalid(id_: str) -> str | None:
    """Why a video cannot have this id, None if it can."""
    if not id_.strip("."):
        return "is not a name"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in id_):
        return "has characters that are not text: rename the video, in UTF-8"
    if len(file_name(id_).encode()) > _MAX_LENGTH:
        return f"is longer than {_MAX_LENGTH} bytes in the name of a result file: give the video a shorter name"
    return None
