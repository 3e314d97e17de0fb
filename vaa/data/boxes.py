"""Annotated boxes on disk: the authors' pickle, read as plain data only, or its JSON.

`python -m vaa.data.boxes SOURCE.pkl TARGET.json` converts. Both map a video to [[frame path, x1, y1, x2, y2], ...]; the
frame's number is the name of its image.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import sys
from functools import lru_cache
from pathlib import Path
from posixpath import basename, splitext
from typing import Any

from vaa.errors import VaaError
from vaa.types import Box

_NUMBER = re.compile(r"(\d+)$")


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, strings and numbers; whatever would call code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse.

        Raises:
            UnpicklingError: always: plain data names no class.
        """
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which plain data never does")


def read_boxes(file: Path) -> dict[str, tuple[Box, ...]]:
    """Video -> its annotated boxes, confidence 1, in the order of the file.

    Raises:
        VaaError: the file cannot be read, holds anything but plain data, or is not in this layout.
    """
    written = file.stat() if file.is_file() else None
    return dict(_boxes(file, written and (written.st_mtime_ns, written.st_size)))


@lru_cache(maxsize=4)
def _boxes(file: Path, written: tuple[int, int] | None) -> dict[str, tuple[Box, ...]]:
    """Read once for all jobs of a multirun, unless the file changes."""
    content = _plain(file)
    try:
        return {str(video): tuple(map(_box, _listed(entries))) for video, entries in content.items()}
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise VaaError(f"{file}: expected video -> [[frame path, x1, y1, x2, y2], ...]: {error}") from error


def _plain(file: Path) -> Any:
    try:
        if file.suffix.lower() == ".json":
            return json.loads(file.read_text(encoding="utf-8-sig"))
        with file.open("rb") as stream:
            return _PlainUnpickler(stream).load()
    except Exception as error:  # a broken pickle raises whatever it likes
        raise VaaError(f"{file}: cannot be read as boxes: {error}") from error


def _listed(entries: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(entries, list | tuple):
        raise TypeError(f"no list: {entries!r}")
    return entries


def _box(entry: Any) -> Box:
    image, x1, y1, x2, y2 = _listed(entry)
    found = _NUMBER.search(splitext(basename(image))[0])
    if found is None:
        raise ValueError(f"{image!r} does not end in a frame number")
    corners = (float(x1), float(y1), float(x2), float(y2))
    if not all(map(math.isfinite, corners)) or len(found[1]) > 9:
        raise ValueError(f"{image!r} has a corner that is no number, or no frame number: {corners}")
    return Box(int(found[1]), corners, 1.0)


def main(arguments: list[str]) -> int:
    """Convert a pickle of boxes to JSON."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m vaa.data.boxes SOURCE.pkl TARGET.json\n")
        return 2
    source, target = map(Path, arguments)
    try:
        read_boxes(source)
        target.write_text(json.dumps(_plain(source)) + "\n", encoding="utf-8")
    except (VaaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
