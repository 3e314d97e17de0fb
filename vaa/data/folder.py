"""A folder of the user's own videos, without labels: a run computes everything but the metrics."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaa import process
from vaa.data.base import VIDEO_SUFFIXES, why_invalid
from vaa.errors import DataError, VideoError
from vaa.types import Dataset, Failure, Video
from vaa.video.sources import VideoInfo, probe

PROBE_TIMEOUT = 60.0
"""Seconds for opening one file; a decoder that hangs is stopped then."""


@dataclass(frozen=True, kw_only=True)
class VideoFolder:
    """All videos under `root`. An id is the path under it, with the suffix only where two files need it."""

    name: str
    root: str
    decoder: str

    def load(self) -> Dataset:
        """The videos that can be opened; the others are failures.

        Raises:
            DataError: the folder is missing or has no video.
        """
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise DataError(f"data.root={self.root}: no such folder.")
        files = [file for file in sorted(root.rglob("*")) if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file()]
        if not files:
            raise DataError(f"data.root={self.root}: no video in it. Known suffixes: {', '.join(VIDEO_SUFFIXES)}.")
        ids = [file.relative_to(root).with_suffix("").as_posix() for file in files]
        by_id = {
            id_ if ids.count(id_) == 1 else file.relative_to(root).as_posix(): file
            for id_, file in zip(ids, files, strict=True)
        }
        videos: list[Video] = []
        failures: list[Failure] = []
        for id_ in [id_ for id_ in by_id if why_invalid(id_)]:
            printable = id_.encode(errors="backslashreplace").decode()
            failures.append(Failure(printable, "data", f"its name {why_invalid(id_)}"))
            del by_id[id_]
        for (id_, file), result in zip(by_id.items(), _probe_all(list(by_id.values()), self.decoder), strict=True):
            if isinstance(result, VideoError):
                failures.append(Failure(id_, "data", str(result)))
            else:
                videos.append(Video(id_, file, result.n_frames, result.fps))
        return Dataset(self.name, tuple(videos), {}, failures)


def _probe_all(files: Sequence[Path], decoder: str) -> Iterator[VideoInfo | VideoError]:
    """Each file is opened in another process, since it may make the decoder hang or crash."""
    from pebble import ProcessExpired, ProcessPool

    process.protect_forks()
    with ProcessPool(1, context=multiprocessing.get_context("fork")) as pool:
        futures = [pool.schedule(probe, args=[file, decoder], timeout=PROBE_TIMEOUT) for file in files]
        for file, future in zip(files, futures, strict=True):
            try:
                yield future.result()
            except VideoError as error:
                yield error
            except TimeoutError:
                yield VideoError(f"{file}: opening it took longer than {PROBE_TIMEOUT:.0f} s. Does it play?")
            except ProcessExpired as error:
                yield VideoError(f"{file}: opening it ended the process ({error}). Does it play?")
