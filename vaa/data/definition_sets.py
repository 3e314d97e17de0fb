"""C-ShanghaiTech and C-Avenue (AnyAnomaly, WACV 2026): the labels of another data set, by what the user looks for."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from vaa.data.base import ChecksFiles, DatasetLoader
from vaa.errors import DataError
from vaa.types import Dataset, GroundTruth, local_path

log = logging.getLogger("vaa")


@dataclass(frozen=True, kw_only=True)
class DefinitionSet:
    """The videos of `dataset`, whose spans have the name of a definition as their class.

    `definitions` is a JSON file under `root`, definition -> videos; each video has one of them, which is the class of
    all its anomalous frames. Videos of `several`, such a file of those that show more than one definition, are left
    out, as the authors do; None for no such file.
    """

    name: str
    root: str
    dataset: DatasetLoader
    definitions: str
    several: str | None

    def load(self) -> Dataset:
        """The videos, with their spans by definition; a video of no definition has the spans of its data set.

        Raises:
            DataError: a file is missing, has another layout, or names a video twice or one that is not there.
        """
        root, dataset = local_path(self.root), self.dataset.load()
        by_video = read_definitions(root / self.definitions)
        several = {video for video, _ in _read_pairs(root / self.several)} if self.several else set[str]()
        known = {video.id for video in dataset.videos} | {failure.video for failure in dataset.failures}
        unknown = sorted((by_video.keys() | several) - known)
        if unknown:
            raise DataError(
                f"{root / self.definitions}: {len(unknown)} videos are not in the data set: {unknown[:10]}."
            )
        videos = tuple(video for video in dataset.videos if video.id not in several)
        other = [video.id for video in videos if video.id not in by_video and dataset.truths[video.id].spans]
        if several:
            log.info("%d videos of several definitions are left out: %s", len(several), ", ".join(sorted(several)))
        if other:
            log.warning("%d videos with anomalies are of no definition: %s", len(other), ", ".join(other[:10]))
        truths = {video.id: _renamed(dataset.truths[video.id], by_video.get(video.id)) for video in videos}
        return Dataset(self.name, videos, truths, dataset.failures, dataset.left_out + len(several & known))

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """See ChecksFiles."""
        files = [local_path(self.root) / name for name in (self.definitions, self.several) if name]
        missing = [f"{file}: no such file: definition -> its videos, as JSON." for file in files if not file.is_file()]
        other = self.dataset.missing_files(videos=videos) if isinstance(self.dataset, ChecksFiles) else ()
        return (*missing, *other)


def read_definitions(file: Path) -> dict[str, str]:
    """Video -> definition, from a JSON mapping of definitions to lists of videos; "_" in a name is a space.

    Raises:
        DataError: it is no such mapping, or a video has two definitions.
    """
    definitions: dict[str, str] = {}
    for video, name in _read_pairs(file):
        if definitions.setdefault(video, name) != name:
            raise DataError(f"{file}: '{video}' is listed under '{definitions[video]}' and '{name}': remove one.")
    return definitions


def _read_pairs(file: Path) -> list[tuple[str, str]]:
    """Pairs of video and definition."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        return [(video, name.replace("_", " ")) for name, videos in content.items() for video in _texts(videos)]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{file}: expected a JSON mapping of definitions to lists of videos: {error}") from error


def _texts(videos: object) -> list[str]:
    if not isinstance(videos, list) or not all(isinstance(video, str) for video in videos):
        raise TypeError(f"not a list of videos: {videos!r}")
    return videos


def _renamed(truth: GroundTruth, definition: str | None) -> GroundTruth:
    if definition is None or not truth.spans:
        return truth
    return replace(truth, spans=tuple(replace(span, label=definition) for span in truth.spans), label=definition)
