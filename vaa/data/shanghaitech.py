"""ShanghaiTech Campus (Luo et al., ICCV 2017; Liu et al., CVPR 2018), test split: folders of images and their masks."""

from __future__ import annotations

from dataclasses import dataclass

from vaa.data.frame_labels import load_labels, truth_of
from vaa.data.layout import image_video, missing_parts, read_each, require_parts, visible
from vaa.data.masks import open_array_masks
from vaa.data.tracks import read_tracks
from vaa.types import Dataset, GroundTruth, Video, local_path


@dataclass(frozen=True, kw_only=True)
class ShanghaiTechDataset:
    """The test videos SS_NNNN (scene, number), by name.

    Under `root`: `frame_masks`, a vector of 0 and 1 a video (SS_NNNN.npy); `frames`, a folder of images a video, for
    methods that decode frames; optionally `pixel_masks`, an array (frames, height, width) a video, and `tracks`, a text
    file a video (vaa/data/tracks.py). `fps`: folders of images have none; `allow_gaps`: numbers of images may be
    missing.
    """

    name: str
    root: str
    frames: str
    frame_masks: str
    pixel_masks: str
    tracks: str
    fps: float
    allow_gaps: bool

    def load(self) -> Dataset:
        """The videos that have images or labels; one without labels, or with another number of them, is a failure.

        Raises:
            DataError: the folder of the labels is missing.
        """
        root = require_parts(self.root, self._parts)
        labelled = {file.stem for file in visible(root / self.frame_masks) if file.suffix == ".npy"}
        return read_each(self.name, sorted(labelled | self._folders()), self._read)

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles."""
        images = {self.frames: "a folder of images a video, SS_NNNN/000.jpg"} if videos else {}
        return missing_parts(self.root, self._parts | images)

    @property
    def _parts(self) -> dict[str, str]:
        return {self.frame_masks: "SS_NNNN.npy, a vector of 0 and 1, one a frame"}

    def _folders(self) -> set[str]:
        return {folder.name for folder in visible(local_path(self.root) / self.frames) if folder.is_dir()}

    def _read(self, id_: str) -> tuple[Video, GroundTruth]:
        root, name = local_path(self.root), f"{id_}.npy"
        labels = load_labels(root / self.frame_masks / name)
        folder, file = root / self.frames / id_, root / self.frame_masks / name
        video = image_video(id_, folder, len(labels), file, fps=self.fps, allow_gaps=self.allow_gaps)
        masks = open_array_masks(root / self.pixel_masks / name, len(labels))
        return video, truth_of(labels, boxes=read_tracks(root / self.tracks / f"{id_}.txt", len(labels)), masks=masks)
