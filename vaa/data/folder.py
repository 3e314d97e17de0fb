"""Anyone's own videos: everything but the metrics."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa.data.names import SUFFIXES, unusable
from vaa.errors import VaaError, VideoError
from vaa.types import Dataset, Failure, Video
from vaa.video import sources

PATIENCE = 60.0
"""Seconds for opening one file; a decoder that hangs in it is stopped after them."""


@dataclass(frozen=True)
class VideoFolder:
    """All videos under `root`, with no labels; an id is the path there, without the suffix where that is enough."""

    name: str
    root: str
    decoder: str

    def load(self) -> Dataset:
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
        found = {
            name if names.count(name) == 1 else file.relative_to(root).as_posix(): file
            for name, file in zip(names, files, strict=True)
        }
        for name in [name for name in found if unusable(name)]:
            said = name.encode(errors="backslashreplace").decode()
            failures.append(Failure(said, "data", f"its name {unusable(name)}"))
            del found[name]
        for (name, file), known in zip(found.items(), _probed(list(found.values()), self.decoder), strict=True):
            if isinstance(known, VideoError):
                failures.append(Failure(name, "data", str(known)))
            else:
                videos[name] = Video(name, file, *known)
        return Dataset(self.name, tuple(videos.values()), {}, failures)


def _probed(files: Sequence[Path], decoder: str) -> Iterator[tuple[int, float] | VideoError]:
    """Number of frames and rate of each, or why not; in another process, since a file may hang or end it."""
    from pebble import ProcessExpired, ProcessPool

    with ProcessPool(1, context=multiprocessing.get_context("fork")) as pool:
        for file, coming in [(f, pool.schedule(sources.probe, args=[f, decoder], timeout=PATIENCE)) for f in files]:
            try:
                yield coming.result()
            except VideoError as error:
                yield error
            except TimeoutError:
                yield VideoError(f"{file}: opening it took longer than {PATIENCE:.0f} s and was stopped. Does it play?")
            except ProcessExpired as error:
                yield VideoError(f"{file}: opening it ended the process that did it ({error}). Does it play?")
