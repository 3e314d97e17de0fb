"""Flat ground truths: one vector of 0 and 1 for all videos, in the order of a list of feature files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaa.data.annotated import read_index
from vaa.data.base import video_id, why_invalid
from vaa.data.frame_labels import load_array, truth_of, zeros_and_ones
from vaa.data.interval_table import DEFAULT_LABEL
from vaa.data.layout import missing_parts, require_parts
from vaa.errors import ConfigError, DataError
from vaa.types import Dataset, GroundTruth, Video

log = logging.getLogger("vaa")
SNIPPET = 16
"""Frames of a snippet, for each of which there is one feature."""


@dataclass(frozen=True, kw_only=True)
class FlatDataset:
    """The videos of `list`, a text file of feature paths, one a line; `gt` has 16 values for each of their snippets.

    A video has 16 times as many frames as snippets, as it is counted in the field: a few more or fewer than its file.
    `counts` says where the numbers of snippets are from: "features": the rows of the listed files, under `features`;
    "floor" or "ceil": the frames divided by 16, by name in `lengths` (lines `name first last class`). `ending` is cut
    from the names ("_i3d"), and so is the number of a crop ("__0"); the first crop of a video counts. A path may be
    followed by a comma and the video's class (VadCLIP's lists). Paths are under `root`.
    """

    name: str
    root: str
    gt: str
    list: str
    counts: Literal["features", "floor", "ceil"]
    features: str
    lengths: str
    ending: str
    fps: float

    def __post_init__(self) -> None:
        if self.counts not in ("features", "floor", "ceil"):
            raise ConfigError(f"data.counts={self.counts}: choose features, floor or ceil.")

    def load(self) -> Dataset:
        """The videos of the list with their part of the ground truth.

        Raises:
            DataError: a file is missing or has another layout, or the snippets do not add up to the ground truth.
        """
        root = require_parts(self.root, self._parts)
        listed = read_feature_list(root / self.list, self.ending)
        snippets = self._snippets(root, listed)
        labels = zeros_and_ones(load_array(root / self.gt), root / self.gt)
        total, n_values = sum(snippets), SNIPPET * sum(snippets)
        if n_values != len(labels):
            raise DataError(
                f"{root / self.gt} has {len(labels)} values, but the {len(listed)} videos of {root / self.list} have "
                f"{total} snippets by data.counts={self.counts}, which are {n_values} values: "
                f"{abs(n_values - len(labels))} too {'few' if n_values < len(labels) else 'many'}. Do they belong "
                "together? Other ways of counting: data.counts=features, floor, ceil."
            )
        videos, truths, first = [], dict[str, GroundTruth](), 0
        for each, count in zip(listed, snippets, strict=True):
            n_frames = SNIPPET * count
            videos.append(Video(each.id, root / f"{each.id}.mp4", n_frames, self.fps))
            truths[each.id] = truth_of(labels[first : first + n_frames], label=each.label or DEFAULT_LABEL)
            first += n_frames
        return Dataset(self.name, tuple(videos), truths, ())

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles. The layout has no video files."""
        return missing_parts(self.root, self._parts)

    @property
    def _parts(self) -> dict[str, str]:
        counts = {self.lengths: "a line per video: name, first frame, last frame, classes"}
        if self.counts == "features":
            counts = {self.features: "the feature files of the list"}
        return {self.gt: "a vector of 0 and 1, 16 a snippet", self.list: "feature paths, one a line"} | counts

    def _snippets(self, root: Path, listed: Sequence[FeatureFile]) -> Sequence[int]:
        """The number of snippets of each video."""
        if self.counts == "features":
            return [len(load_array(_find_feature(root / self.features, each.path))) for each in listed]
        lengths = read_index(root / self.lengths)
        missing = [each.id for each in listed if each.id not in lengths]
        if missing:
            raise DataError(
                f"{root / self.lengths}: no line for {len(missing)} of {len(listed)} videos of {self.list}, the first "
                f"is '{missing[0]}'. Is part of the names of the features not the video's? Cut it: data.ending=_i3d"
            )
        extra = SNIPPET - 1 if self.counts == "ceil" else 0
        return [(lengths[each.id] + extra) // SNIPPET for each in listed]


@dataclass(frozen=True)
class FeatureFile:
    """A line of the list: the video's id, the path of its features, its class ("" where the list has none)."""

    id: str
    path: str
    label: str


def read_feature_list(file: Path, ending: str) -> list[FeatureFile]:
    """The videos of a list in its order, each once.

    Raises:
        DataError: it cannot be read, lists no video, or a video at two places.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    listed: list[FeatureFile] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        path, _, label = line.strip().partition(",")
        if not path or (number == 1 and path == "path"):
            continue
        id_, crop = _parse_name(path, ending)
        if reason := why_invalid(id_):
            raise DataError(f"{file}:{number}: {id_!r} {reason}.")
        if id_ not in seen:
            listed.append(FeatureFile(id_, path, label.strip()))
            seen[id_] = number
        elif not crop or listed[-1].id != id_:
            raise DataError(f"{file}:{number}: '{id_}' is listed a second time, first in line {seen[id_]}.")
    if not listed:
        raise DataError(f"{file}: lists no video.")
    return listed


def _parse_name(path: str, ending: str) -> tuple[str, bool]:
    """The id of the video, and whether the file is that of one crop (`NAME__3.npy`)."""
    stem = video_id(path).removesuffix(".npy")
    name, separator, crop = stem.rpartition("__")
    is_crop = bool(separator) and crop.isdecimal() and len(crop) == 1
    return (name if is_crop else stem).removesuffix(ending), is_crop


def _find_feature(folder: Path, path: str) -> Path:
    """The file of a path of the list under the folder, which may be the path of the authors' own machine."""
    parts = path.replace("\\", "/").split("/")
    candidates = [folder.joinpath(*parts[k:]) for k in range(len(parts))]
    file = next((each for each in candidates if each.is_file()), None)
    if file is None:
        raise DataError(f"data.features={folder}: no file {path}, nor {parts[-1]}.")
    return file
