"""Annotated tracks of boxes, a text file a video: `track,frame,x1,y1,x2,y2` (the files released for RBDC and TBDC)."""

from __future__ import annotations

from pathlib import Path

from vaa.errors import VideoError
from vaa.types import Box

_EDGES = {"x1", "y1", "x2", "y2"}


def read_tracks(file: Path, n_frames: int) -> tuple[Box, ...]:
    """The boxes of a video in the order of the file, frames numbered from 0; none if there is no such file.

    Raises:
        VideoError: a line has another form, or a frame that the video does not have.
    """
    if not file.is_file():
        return ()
    rows = read_rows(file, "track,frame,x1,y1,x2,y2")
    boxes = tuple(Box(int(f), (x1, y1, x2, y2), 1.0, int(t)) for t, f, x1, y1, x2, y2 in rows)
    outside = next((box.frame for box in boxes if not 0 <= box.frame < n_frames), None)
    if outside is not None:
        raise VideoError(f"{file}: has a box on frame {outside}, but the video has {n_frames} frames, from 0.")
    return boxes


def read_rows(file: Path, columns: str) -> list[list[float]]:
    """The lines of numbers of a text file; `columns` are their names, separated by commas as the numbers are.

    Raises:
        VideoError: the file cannot be read, or a line has another number of values, or one that is negative or, in the
            columns of tracks and frames, not whole.
    """
    names = columns.split(",")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise VideoError(f"{file}: expected lines of {columns}: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = [float(value) for value in line.split(",")] if line.strip() else []
        except ValueError:
            row = [-1.0]
        whole = [value for name, value in zip(names, row, strict=False) if name not in _EDGES]
        if row and (len(row) != len(names) or not all(0 <= value < 1e9 for value in row) or any(v % 1 for v in whole)):
            raise VideoError(f"{file}:{number}: expected {columns}, not {line!r}.")
        rows += [row] if row else []
    return rows
