"""Labels of frames: vectors of 0 and 1 from files, as ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.data.interval_table import DEFAULT_LABEL, NORMAL
from vaa.errors import DataError, VideoError
from vaa.types import Box, GroundTruth, PixelMasks, Span

FrameLabels = NDArray[np.bool_]
"""Which frames are abnormal, shape (frames,)."""


def truth_of(
    labels: FrameLabels, *, label: str = DEFAULT_LABEL, boxes: Iterable[Box] = (), masks: PixelMasks | None = None
) -> GroundTruth:
    """The ground truth of a video: a span for each run of abnormal frames, of the class `label`."""
    edges = np.flatnonzero(np.diff(labels, prepend=False, append=False)).tolist()
    spans = tuple(Span(start, stop, label) for start, stop in zip(edges[::2], edges[1::2], strict=True))
    return GroundTruth(spans, label if spans else NORMAL, tuple(boxes), masks=masks)


def labels_of(intervals: Iterable[tuple[int, int]], n_frames: int, where: Path) -> FrameLabels:
    """The frames of the intervals [start, stop) of the file `where`; shape (n_frames,).

    A stop one past the end is cut, a common mistake of annotations.

    Raises:
        VideoError: an interval starts or stops further past the end.
    """
    labels = np.zeros(n_frames, dtype=np.bool_)
    for start, stop in intervals:
        if start >= n_frames or stop > n_frames + 1:
            raise VideoError(
                f"{where}: the frames [{start}, {stop}) are abnormal, but the video has {n_frames} frames."
            )
        labels[start:stop] = True
    return labels


def load_array(file: Path) -> NDArray[Any]:
    """The array of an `.npy` file, read from the disk when it is used.

    Raises:
        DataError: the file is missing or damaged, or has Python objects in it.
    """
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise ValueError("not an array of numbers")
    except Exception as error:  # a damaged header raises errors of any class
        raise DataError(f"{file}: cannot be read as a NumPy array: {error}") from error
    return array


def zeros_and_ones(values: NDArray[Any], where: Path) -> FrameLabels:
    """The labels of a vector of 0 and 1, in whatever type; shape (frames,).

    Raises:
        DataError: it is no vector, or has other values.
    """
    vector = np.squeeze(values)
    if vector.ndim != 1 or not len(vector):
        raise DataError(f"{where}: expected a vector with one value a frame, not the shape {values.shape}.")
    labels: FrameLabels = vector == 1
    other = vector[~labels & (vector != 0)]
    if len(other):
        raise DataError(f"{where}: expected 0 and 1 only, but {len(other)} values are others, the first {other[0]}.")
    return labels


def load_labels(file: Path) -> FrameLabels:
    """The labels of one video's `.npy` file.

    Raises:
        VideoError: there is no such file, or it is no vector of 0 and 1.
    """
    if not file.is_file():
        raise VideoError(f"{file}: no such file, so the video has no labels.")
    try:
        return zeros_and_ones(load_array(file), file)
    except DataError as error:
        raise VideoError(str(error)) from error


def load_matlab(file: Path, key: str) -> NDArray[Any]:
    """The variable `key` of a MATLAB file.

    Raises:
        DataError: the file is missing or damaged, or has no such variable.
    """
    from scipy.io import loadmat, whosmat

    try:
        names = [name for name, _, _ in whosmat(file)]
        content = loadmat(file, variable_names=[key]) if key in names else {}
    except NotImplementedError as error:
        raise DataError(f"{file}: MATLAB 7.3 is not read. In MATLAB: save(FILE, '{key}', '-v7').") from error
    except Exception as error:  # a damaged file raises errors of any class
        raise DataError(f"{file}: cannot be read as a MATLAB file: {error}") from error
    if key not in content:
        raise DataError(f"{file}: has no variable '{key}'; it has {', '.join(names) or 'none'}.")
    array: NDArray[Any] = content[key]
    return array
