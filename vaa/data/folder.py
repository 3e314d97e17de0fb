"""Anyone's own videos: everything but the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vaa import video
from vaa.data.annotated import SUFFIXES
from vaa.types import Catalogue, Failure, VaaError, Video, VideoError


@dataclass(frozen=True)
class Folder:
    """All videos under `root`, with no labels; an id is the path there, without the suffix where that is enough."""

    name: str
    root: str
    reader: str

    def load(self) -> Catalogue:
        """The videos that open, and as failures those that do not."""
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise VaaError(f"data.root={self.root}: no such folder.")
        files = [file for file in sorted(root.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not files:
            raise VaaError(f"data.root={self.root}: no video in it. Known suffixes: {', '.join(SUFFIXES)}.")
        videos: dict[str, Video] = {}
        failures: list[Failure] = []
        names = [file.relative_to(root).with_suffix("").as_posix() for file in files]
        for name, file in zip(names, files, strict=True):
            name = name if names.count(name) == 1 else file.relative_to(root).as_posix()
            try:
                videos[name] = Video(name, file, *video.probe(file, self.reader))
            except VideoError as error:
                failures.append(Failure(name, "data", str(error)))
        return Catalogue(self.name, tuple(videos.values()), {}, failures)
