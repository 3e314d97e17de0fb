"""Scores of one video in a npy or csv file of any method, and lists of detections."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaa.errors import VideoError
from vaa.types import Box

_DETECTION = ("frame", "x1", "y1", "x2", "y2", "score")
_LAYOUTS = f"one column of scores, frame,score, or {','.join(_DETECTION)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class FileScores:
    """`values[i]` begins at frame `starts[i]`; both of shape (n,). `boxes`: of a list of detections."""

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    boxes: tuple[Box, ...] = ()


def read_array(file: Path, step: int) -> FileScores:
    """A npy file of shape (n,), or (n, 1): a value for every `step` frames.

    Raises:
        VideoError: the file cannot be read, or has another shape or type.
    """
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VideoError(f"{file}: not a npy file of numbers: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu" or values.size != len(values.ravel()):
        raise VideoError(f"{file}: not a npy file of numbers.")
    if values.ndim not in (1, 2) or (values.ndim == 2 and 1 not in values.shape) or not values.size:
        raise VideoError(f"{file}: has the shape {values.shape}; one score for every {step} frames is expected.")
    flat = values.ravel().astype(np.float64)
    return FileScores(starts=step * np.arange(len(flat)), values=flat)


def read_table(file: Path, step: int, n_frames: int) -> FileScores:
    """A csv file, with or without a header: scores alone, `frame,score`, or detections `frame,x1,y1,x2,y2,score`.

    Of detections, the score of a frame is the highest of its boxes, 0 without one.

    Raises:
        VideoError: the file cannot be read, or a line is in another layout.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = [(number, row) for number, row in enumerate(csv.reader(opened), 1) if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:
        raise VideoError(f"{file}: not a csv file: {error}") from error
    if lines and not _is_number(lines[0][1][0]):
        lines = lines[1:]
    rows = [_numbers(file, number, row) for number, row in lines]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or widths - {1, 2, len(_DETECTION)}:
        raise VideoError(f"{file}: expected {_LAYOUTS} in every line.")
    columns = np.array(rows, dtype=np.float64)
    if columns.shape[1] == 1:
        return FileScores(starts=step * np.arange(len(columns)), values=columns[:, 0])
    frames = columns[:, 0]
    wrong = np.flatnonzero((frames != np.floor(frames)) | (frames < 0))
    if len(wrong):
        raise VideoError(f"{file}:{lines[int(wrong[0])][0]}: {frames[wrong[0]]:g} is no frame number.")
    if columns.shape[1] == 2:
        order = np.argsort(frames, kind="stable")
        return FileScores(starts=frames[order].astype(np.int64), values=columns[order, 1])
    return _detections(file, columns, n_frames)


def _detections(file: Path, columns: NDArray[np.float64], n_frames: int) -> FileScores:
    frames = columns[:, 0].astype(np.int64)
    if frames.max() >= n_frames:
        raise VideoError(f"{file}: frame {frames.max()} is past the end of the video, which has {n_frames} frames.")
    values = np.zeros(n_frames)
    np.maximum.at(values, frames, columns[:, 5])
    boxes = tuple(Box(int(f), (x1, y1, x2, y2), score) for f, x1, y1, x2, y2, score in columns.tolist())
    return FileScores(starts=np.arange(n_frames), values=values, boxes=boxes)


def _numbers(file: Path, number: int, row: Sequence[str]) -> list[float]:
    try:
        return [float(cell) for cell in row]
    except ValueError as error:
        raise VideoError(f"{file}:{number}: expected {_LAYOUTS}, not {','.join(row)!r:.80}.") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
