"""Annotated boxes on disk: the authors' pickle, read as plain data only, or the same as JSON.

`python -m vaa.data.boxes SOURCE.pkl TARGET.json` converts. Both map a video to [[frame path, x1, y1, x2, y2], ...]; the
frame number is the number that ends the name of the image.
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

from vaa.errors import DataError, OutputError
from vaa.types import Box

_NUMBER = re.compile(r"(\d+)$")


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, strings and numbers only, so that a pickle cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every class and function.

        Raises:
            UnpicklingError: always.
        """
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which plain data never does")


def read_boxes(file: Path) -> dict[str, tuple[Box, ...]]:
    """Video -> its annotated boxes, with confidence 1, in the order of the file.

    Raises:
        DataError: the file cannot be read, contains anything but plain data, or has another layout.
    """
    stat = file.stat() if file.is_file() else None
    return dict(_read_boxes(file, stat and (stat.st_mtime_ns, stat.st_size)))


@lru_cache(maxsize=4)
def _read_boxes(file: Path, _state: tuple[int, int] | None) -> dict[str, tuple[Box, ...]]:
    """Read once for all jobs of a multirun, unless the file changes."""
    content = _read_plain(file)
    try:
        return {str(video): tuple(map(_parse_box, _check_list(entries))) for video, entries in content.items()}
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{file}: expected video -> [[frame path, x1, y1, x2, y2], ...]: {error}") from error


def _read_plain(file: Path) -> Any:
    try:
        if file.suffix.lower() == ".json":
            return json.loads(file.read_text(encoding="utf-8-sig"))
        with file.open("rb") as stream:
            return _PlainUnpickler(stream).load()
    except Exception as error:  # a damaged pickle raises errors of any class
        raise DataError(f"{file}: cannot be read as boxes: {error}") from error


def _check_list(entries: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(entries, list | tuple):
        raise TypeError(f"not a list: {entries!r}")
    return entries


def _parse_box(entry: Any) -> Box:
    image, x1, y1, x2, y2 = _check_list(entry)
    match = _NUMBER.search(splitext(basename(image))[0])
    if match is None:
        raise ValueError(f"{image!r} does not end in a frame number")
    corners = (float(x1), float(y1), float(x2), float(y2))
    if not all(map(math.isfinite, corners)) or len(match[1]) > 9:
        raise ValueError(f"{image!r} has a corner that is not finite, or too long a frame number: {corners}")
    return Box(int(match[1]), corners, 1.0)


def _to_json(file: Path) -> str:
    try:
        return json.dumps(_read_plain(file)) + "\n"
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: cannot be written as JSON: {error}") from error


def main(arguments: list[str]) -> int:
    """Convert a pickle of boxes to JSON; returns the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m vaa.data.boxes SOURCE.pkl TARGET.json\n")
        return 2
    source, target = map(Path, arguments)
    try:
        read_boxes(source)
        target.write_text(_to_json(source), encoding="utf-8")
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"{target}: cannot be written: {error}\n")
        return OutputError.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
