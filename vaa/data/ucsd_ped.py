"""UCSD Ped1 and Ped2 (Mahadevan et al., CVPR 2010), test split: folders of images, and masks for some of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vaa.data.frame_labels import labels_of, truth_of
from vaa.data.layout import image_video, missing_parts, read_each, require_parts, visible
from vaa.data.masks import labels_of_masks, open_image_masks
from vaa.errors import ConfigError, DataError, VideoError
from vaa.types import Dataset, GroundTruth, Video, local_path
from vaa.video.sources import numbered_images

_CLIP = re.compile(r"Test[0-9]+")
_LINE = re.compile(r"^[^%\n]*gt_frame\s*=\s*\[([^\]]*)\]", re.MULTILINE)
_RANGE = re.compile(r"([0-9]{1,9})\s*:\s*([0-9]{1,9})")


@dataclass(frozen=True, kw_only=True)
class UCSDPedDataset:
    """The clips TestNNN: folders of images, and masks in TestNNN_gt beside them.

    `labels` says which frames are abnormal: "masks": those with a pixel in their mask; "intervals": those in the
    MATLAB program `intervals`, `gt_frame = [60:152, 170:180];` for each clip in turn, from 1 and inclusive.
    """

    name: str
    root: str
    clips: str
    intervals: str
    labels: Literal["masks", "intervals"]
    fps: float
    allow_gaps: bool

    def __post_init__(self) -> None:
        if self.labels not in ("masks", "intervals"):
            raise ConfigError(f"data.labels={self.labels}: choose masks or intervals.")

    def load(self) -> Dataset:
        """The clips, by name; one without labels, or with another number of masks than images, is a failure.

        Raises:
            DataError: the clips or the labels are missing, or there are intervals of another number of clips.
        """
        root = require_parts(self.root, self._parts)
        clips = [each.name for each in visible(root / self.clips) if each.is_dir() and _CLIP.fullmatch(each.name)]
        if not clips:
            raise DataError(f"{root / self.clips}: no folder Test001, Test002, ... in it.")
        intervals = None
        if self.labels == "intervals":
            intervals = dict(zip(clips, read_matlab_program(root / self.intervals, len(clips)), strict=True))
        return read_each(self.name, clips, lambda id_: self._read(id_, intervals))

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles. The lengths are those of the folders of images, so that they are needed in any case."""
        return missing_parts(self.root, self._parts)

    @property
    def _parts(self) -> dict[str, str]:
        program = {self.intervals: "a MATLAB program, gt_frame = [FIRST:LAST]; for each clip"}
        return {self.clips: "TestNNN/NNN.tif and TestNNN_gt/NNN.bmp"} | (program if self.labels == "intervals" else {})

    def _read(self, id_: str, intervals: dict[str, list[tuple[int, int]]] | None) -> tuple[Video, GroundTruth]:
        root = local_path(self.root)
        folder, mask_folder = root / self.clips / id_, root / self.clips / f"{id_}_gt"
        if not mask_folder.is_dir() and intervals is None:
            raise VideoError(f"{mask_folder}: no such folder of masks. The labels of all clips: data.labels=intervals")
        masks = open_image_masks(mask_folder, self.allow_gaps) if mask_folder.is_dir() else None
        n_frames = len(masks.files) if masks else len(numbered_images(folder, self.allow_gaps))
        video = image_video(id_, folder, n_frames, mask_folder, fps=self.fps, allow_gaps=self.allow_gaps)
        if intervals is not None:
            labels = labels_of(intervals[id_], n_frames, root / self.intervals)
        else:
            labels = labels_of_masks(masks, n_frames) if masks else np.zeros(n_frames, np.bool_)
        return video, truth_of(labels, masks=masks)


def read_matlab_program(file: Path, n_clips: int) -> list[list[tuple[int, int]]]:
    """The intervals [start, stop) of each clip, from 0.

    Raises:
        DataError: the file cannot be read, a line is no list of ranges, or there are not `n_clips` of them.
    """
    try:
        lines = _LINE.findall(file.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    intervals = []
    for number, line in enumerate(lines, 1):
        ranges = [_RANGE.fullmatch(each.strip()) for each in re.split(r"[,;]", line) if each.strip()]
        pairs = [(int(each[1]) - 1, int(each[2])) for each in ranges if each]
        if len(pairs) < len(ranges) or any(start < 0 or stop <= start for start, stop in pairs):
            raise DataError(f"{file}: clip {number}: expected gt_frame = [FIRST:LAST, FIRST:LAST], not [{line}].")
        intervals.append(pairs)
    if len(intervals) != n_clips:
        raise DataError(f"{file}: has 'gt_frame' of {len(intervals)} clips, but there are {n_clips} folders TestNNN.")
    return intervals
