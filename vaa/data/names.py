"""Names of videos as annotation files and file systems write them: what is taken, what is refused."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from vaa.types import file_name

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
_LONGEST = 200  # bytes: file systems take 255, and copies with boxes add a few


def stem(name: str) -> str:
    """The last part of a path in either notation, without a video's suffix: no name leads out of a folder."""
    base = re.split(r"[/\\]", name)[-1]
    return base[: -len(Path(base).suffix)] if Path(base).suffix.lower() in SUFFIXES else base


def unusable(name: str) -> str | None:
    """Why a video cannot have this name; None if it can."""
    if not name.strip("."):
        return "is no name"
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        return "has signs in it that are no text: rename the video, in plain UTF-8"
    if len(file_name(name).encode()) > _LONGEST:
        return f"is longer than the {_LONGEST} bytes that a result's file name may have: give the video a shorter one"
    return None
