"""CUHK Avenue (Lu et al., ICCV 2013), test split: videos and pixel masks in MATLAB files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vaa.data.frame_labels import FrameLabels, labels_of, load_matlab, truth_of
from vaa.data.layout import file_video, missing_parts, read_each, require_parts, visible
from vaa.data.masks import Mask
from vaa.errors import ConfigError, DataError, VideoError
from vaa.types import Dataset, DecoderName, GroundTruth, PixelMasks, Video, local_path

MASK_KEY, INTERVAL_KEY = "volLabel", "gt"
"""The variables in the files of the masks and of the intervals."""


@dataclass(frozen=True, kw_only=True)
class AvenueDataset:
    """The test videos 01 to 21.

    Under `root`: `masks`, N_label.mat a video, whose `volLabel` is a cell array with a mask of each frame; `videos`,
    NN.avi. `labels` says which frames are abnormal: "masks": those with a pixel in their mask; "intervals": those of
    the file `intervals`, which the prediction line hands round (avenue.mat of Liu et al., CVPR 2018: `gt`, a cell a
    video of two rows, starts and ends, from 1 and inclusive). `fps` is the rate without a video file.
    """

    name: str
    root: str
    videos: str
    masks: str
    intervals: str
    labels: Literal["masks", "intervals"]
    fps: float
    decoder: DecoderName

    def __post_init__(self) -> None:
        if self.labels not in ("masks", "intervals"):
            raise ConfigError(f"data.labels={self.labels}: choose masks or intervals.")

    def load(self) -> Dataset:
        """The videos that have a file or masks; one without labels, or with another number of them, is a failure.

        Raises:
            DataError: the labels are missing or cannot be read.
        """
        root = require_parts(self.root, self._parts)
        intervals = read_matlab_intervals(root / self.intervals) if self.labels == "intervals" else None
        stems = {file.stem for file in visible(root / self.videos) if file.suffix.lower() == ".avi"}
        stems |= {file.stem.removesuffix("_label") for file in visible(root / self.masks) if file.suffix == ".mat"}
        numbers = sorted({int(stem) for stem in stems if stem.isdecimal() and stem.isascii()})
        return read_each(self.name, [f"{number:02d}" for number in numbers], lambda id_: self._read(id_, intervals))

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles."""
        return missing_parts(self.root, self._parts | ({self.videos: "NN.avi"} if videos else {}))

    @property
    def _parts(self) -> dict[str, str]:
        if self.labels == "intervals":
            return {self.intervals: f"a MATLAB file with '{INTERVAL_KEY}', starts and ends of each video"}
        return {self.masks: f"N_label.mat with '{MASK_KEY}', a mask a frame"}

    def _read(self, id_: str, intervals: list[list[tuple[int, int]]] | None) -> tuple[Video, GroundTruth]:
        root = local_path(self.root)
        masks = MatlabMasks(root / self.masks / f"{int(id_)}_label.mat")
        labelled = masks.labels() if masks.file.is_file() or intervals is None else None
        n_labels = None if labelled is None else len(labelled)
        file = root / self.videos / f"{id_}.avi"
        video = file_video(id_, file, n_labels, masks.file, fps=self.fps, decoder=self.decoder)
        if intervals is not None:
            if int(id_) > len(intervals):
                raise VideoError(f"{root / self.intervals}: has intervals of {len(intervals)} videos, not of '{id_}'.")
            labels = labels_of(intervals[int(id_) - 1], video.n_frames, root / self.intervals)
        else:
            labels = np.zeros(0, np.bool_) if labelled is None else labelled[: video.n_frames]
        optional: PixelMasks | None = None if labelled is None else masks
        return video, truth_of(labels, masks=optional)


@dataclass(frozen=True)
class MatlabMasks:
    """A MATLAB file whose `volLabel` is a cell array with the mask of each frame; what is not 0 is abnormal."""

    file: Path

    def frame(self, number: int) -> Mask:
        """See PixelMasks. The masks of one file are in memory at a time: a third of a gigabyte for Avenue's longest."""
        return np.asarray(_load_cells(self.file, _modified(self.file))[number] != 0)

    def labels(self) -> FrameLabels:
        """The frames that have an abnormal pixel.

        Raises:
            VideoError: the file is missing or damaged, or has no `volLabel`.
        """
        try:
            return _read_labels(self.file, _modified(self.file))
        except DataError as error:
            raise VideoError(str(error)) from error


def read_matlab_intervals(file: Path) -> list[list[tuple[int, int]]]:
    """The intervals [start, stop) of each video, from 0.

    Raises:
        DataError: the file is missing or damaged, or has another layout.
    """
    cells = load_matlab(file, INTERVAL_KEY).ravel()
    pairs = []
    for number, cell in enumerate(cells, 1):
        bounds = np.asarray(cell)
        if bounds.ndim != 2 or (bounds.size and bounds.shape[0] != 2) or bounds.dtype.kind not in "iuf":
            raise DataError(f"{file}: '{INTERVAL_KEY}' of video {number}: expected two rows, starts and ends.")
        starts_and_stops = [(int(start) - 1, int(end)) for start, end in bounds.T.tolist()] if bounds.size else []
        if any(start < 0 or stop <= start for start, stop in starts_and_stops):
            raise DataError(f"{file}: '{INTERVAL_KEY}' of video {number}: an interval is reversed or starts before 1.")
        pairs.append(starts_and_stops)
    return pairs


def _modified(file: Path) -> int:
    return file.stat().st_mtime_ns if file.is_file() else 0


@lru_cache(maxsize=1)
def _load_cells(file: Path, _modified: int) -> list[NDArray[Any]]:
    cells = list(load_matlab(file, MASK_KEY).ravel())
    shapes = {np.shape(cell) for cell in cells}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 2 or not all(shape):
        raise DataError(f"{file}: expected a mask of one shape (height, width) in each cell, not {sorted(shapes)[:3]}.")
    return cells


@lru_cache(maxsize=32)
def _read_labels(file: Path, modified: int) -> FrameLabels:
    return np.array([bool(cell.any()) for cell in _load_cells(file, modified)], dtype=np.bool_)
