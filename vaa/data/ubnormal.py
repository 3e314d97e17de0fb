"""UBnormal (Acsintoae et al., CVPR 2022) as its authors distribute it: scenes, tracks, masks with object numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.data.frame_labels import labels_of, truth_of
from vaa.data.layout import file_video, missing_parts, read_each, require_parts
from vaa.data.masks import Mask, load_image, open_image_masks, outline
from vaa.data.tracks import read_rows
from vaa.errors import ConfigError, DataError, VideoError
from vaa.types import Box, Dataset, DecoderName, GroundTruth, Video, local_path

_NAME = re.compile(r"(?:abnormal|normal)_scene_(?P<scene>[0-9]+)_.+")
_SPLITS = ("training", "validation", "test")


@dataclass(frozen=True)
class ObjectTrack:
    """The frames [start, stop) in which an object is abnormal; `number` is its value in the masks."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class UBnormalDataset:
    """The videos of the lists {abnormal,normal}_`split`_video_names.txt in the folder `lists` under `root`.

    Those of scene N are in SceneN, NAME.mp4 beside NAME_annotations: NAME_tracks.txt (or NAME_new_tracks.txt) and
    NAME_NNNN_gt.png, one a frame. A frame is abnormal if a track covers it. With `boxes` every mask of an abnormal
    frame is read for the box of each object, which takes minutes. `fps` is the rate without a video file.
    """

    name: str
    root: str
    lists: str
    split: str
    boxes: bool
    fps: float
    allow_gaps: bool
    decoder: DecoderName

    def __post_init__(self) -> None:
        if self.split not in _SPLITS:
            raise ConfigError(f"data.split={self.split}: choose one of {', '.join(_SPLITS)}.")

    def load(self) -> Dataset:
        """The videos of both lists in their order; one without annotations or file, or of another length, is a failure.

        Raises:
            DataError: a list is missing, or has a name of another form or twice.
        """
        root = require_parts(self.root, self._parts)
        names: list[str] = []
        for path in self._parts:
            for number, line in enumerate(_read_text(root / path).split("\n"), 1):
                name = line.strip().removesuffix(".mp4")
                if name and (not _NAME.fullmatch(name) or name in names):
                    raise DataError(f"{root / path}:{number}: {name!r} is listed twice or is not TYPE_scene_N_...")
                names += [name] if name else []
        return read_each(self.name, names, self._read)

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles."""
        missing = missing_parts(self.root, self._parts)
        if missing or not videos:
            return missing
        lists = [_read_text(local_path(self.root) / path) for path in self._parts]
        files = [self._file(name) for text in lists for name in text.split()]
        absent = [file for file in files if not file.is_file()]
        return (f"{len(absent)} of {len(files)} video files are missing, the first: {absent[0]}.",) if absent else ()

    @property
    def _parts(self) -> dict[str, str]:
        names = {kind: f"{kind}_{self.split}_video_names.txt" for kind in ("abnormal", "normal")}
        return {(Path(self.lists) / n).as_posix(): f"names of {kind} videos, one a line" for kind, n in names.items()}

    def _file(self, name: str) -> Path:
        name = name.removesuffix(".mp4")
        match = _NAME.fullmatch(name)
        return local_path(self.root) / f"Scene{match['scene'] if match else ''}" / f"{name}.mp4"

    def _read(self, id_: str) -> tuple[Video, GroundTruth]:
        file = self._file(id_)
        folder = file.with_name(f"{id_}_annotations")
        if id_.startswith("normal_"):  # these have no annotations
            video = file_video(id_, file, None, folder, fps=self.fps, decoder=self.decoder)
            return video, truth_of(np.zeros(video.n_frames, np.bool_))
        images = open_image_masks(folder, self.allow_gaps).files
        video = file_video(id_, file, len(images), folder, fps=self.fps, decoder=self.decoder)
        new = folder / f"{id_}_new_tracks.txt"
        track_file = new if new.is_file() else folder / f"{id_}_tracks.txt"
        tracks = read_object_tracks(track_file)
        masks = ObjectMasks(tuple(images), tracks)
        labels = labels_of([(track.start, track.stop) for track in tracks], video.n_frames, track_file)
        boxes = masks.boxes(np.flatnonzero(labels).tolist()) if self.boxes else ()
        return video, truth_of(labels, boxes=boxes, masks=masks)


@dataclass(frozen=True)
class ObjectMasks:
    """An image a frame with the number of the object at each pixel; abnormal are the objects of the frame's tracks."""

    files: Sequence[Path]
    tracks: tuple[ObjectTrack, ...]

    def frame(self, number: int) -> Mask:
        """See PixelMasks."""
        active = [track.number for track in self.tracks if track.start <= number < track.stop]
        return np.isin(self._numbers(number), active)

    def boxes(self, frames: Sequence[int]) -> tuple[Box, ...]:
        """The box of each abnormal object on these frames: x, y, x + w, y + h of its largest connected part.

        Raises:
            VideoError: a mask cannot be read.
        """
        boxes = []
        for frame in frames:
            try:
                numbers = self._numbers(frame)
            except DataError as error:
                raise VideoError(str(error)) from error
            for index, track in enumerate(self.tracks):
                box = outline(_largest_part(numbers == track.number)) if track.start <= frame < track.stop else None
                boxes += [Box(frame, box, 1.0, index)] if box else []
        return tuple(boxes)

    def _numbers(self, frame: int) -> NDArray[Any]:
        pixels = load_image(self.files[frame])
        return pixels[:, :, 0] if pixels.ndim == 3 else pixels


def read_object_tracks(file: Path) -> tuple[ObjectTrack, ...]:
    """The tracks of a video, from lines `object_id,start,end` with the end inclusive.

    Raises:
        VideoError: the file is missing, or a line has another form.
    """
    rows = read_rows(file, "object_id,start,end")
    if reversed_ := [row for row in rows if row[2] < row[1]]:
        raise VideoError(f"{file}: the track {reversed_[0]} ends before it starts.")
    return tuple(ObjectTrack(int(number), int(start), int(end) + 1) for number, start, end in rows)


def _largest_part(mask: Mask) -> Mask:
    """The largest part whose pixels touch, corners included, by its number of pixels with its holes filled."""
    from scipy import ndimage

    parts, n_parts = ndimage.label(mask, structure=np.ones((3, 3)))
    if n_parts < 2:
        return mask
    filled = [ndimage.binary_fill_holes(parts == part) for part in range(1, n_parts + 1)]
    largest = max(range(n_parts), key=lambda index: int(filled[index].sum()))
    return np.asarray(parts == largest + 1)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
