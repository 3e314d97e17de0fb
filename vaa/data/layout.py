"""What the readers of layouts share: which parts should be under `root`, and videos read one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vaa.errors import DataError, VideoError
from vaa.types import Dataset, Failure, GroundTruth, SourceKind, Video, local_path
from vaa.video.sources import numbered_images, probe

log = logging.getLogger("vaa")


def missing_parts(root: str, parts: Mapping[str, str]) -> tuple[str, ...]:
    """A message for each part that is not there; `parts`: path under `root` -> what it contains."""
    folder, expected = local_path(root), "\n".join(f"  {path}: {content}" for path, content in parts.items())
    if not folder.is_dir():
        return (f"data.root={root}: no such folder. Expected in it:\n{expected}",)
    missing = [
        f"{folder / path}: no such file or folder ({c})." for path, c in parts.items() if not (folder / path).exists()
    ]
    return (*missing[:-1], f"{missing[-1]} Expected under data.root={root}:\n{expected}") if missing else ()


def require_parts(root: str, parts: Mapping[str, str]) -> Path:
    """The folder `root`.

    Raises:
        DataError: it or a part of it is not there.
    """
    if missing := missing_parts(root, parts):
        raise DataError("\n".join(missing))
    return local_path(root)


def visible(folder: Path) -> list[Path]:
    """The files and folders of a folder in the order of their names, without hidden ones; empty without the folder."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry for entry in entries if not entry.name.startswith("."))


def read_each(name: str, ids: Iterable[str], read: Callable[[str], tuple[Video, GroundTruth]]) -> Dataset:
    """The data set of the videos that `read` returns; one for which it raises a VideoError is a failure."""
    videos, truths, failures = [], {}, []
    for id_ in ids:
        try:
            video, truths[id_] = read(id_)
            videos.append(video)
        except VideoError as error:
            failures.append(Failure(id_, "data", str(error)))
    return Dataset(name, tuple(videos), truths, failures)


def image_video(id_: str, folder: Path, n_labels: int, labels: Path, *, fps: float, allow_gaps: bool) -> Video:
    """The video of a folder of images, with as many frames as there are labels; the folder need not exist.

    Raises:
        VideoError: there are more or fewer images than labels, or their numbers are not clear (numbered_images).
    """
    source: SourceKind = "images_with_gaps" if allow_gaps else "images"
    if folder.is_dir() and (n_images := len(numbered_images(folder, allow_gaps))) != n_labels:
        raise VideoError(
            f"{folder} has {n_images} images, but {labels} labels {n_labels} frames. Is one of them not whole?"
        )
    return Video(id_, folder, n_labels, fps, source)


def file_video(id_: str, file: Path, n_labels: int | None, labels: Path, *, fps: float, decoder: str) -> Video:
    """The video of a file, with as many frames as there are labels, or one fewer if the file has one fewer: logged.

    The file need not exist if there are labels (`n_labels` is not None); `fps` is the rate without it.

    Raises:
        VideoError: there are more or fewer frames than labels, by two or more, or the file is no video.
    """
    if not file.is_file() and n_labels is not None:
        return Video(id_, file, n_labels, fps)
    info = probe(file, decoder)
    n_frames = info.n_frames if n_labels is None else min(n_labels, info.n_frames)
    if n_labels is not None and abs(info.n_frames - n_labels) > 1:
        raise VideoError(
            f"{file} has {info.n_frames} frames, but {labels} labels {n_labels}. Is one of them not whole, or the "
            "video another encoding?"
        )
    if n_labels is not None and info.n_frames != n_labels:
        log.warning("%s has %d frames, but %s labels %d: cut to %d.", file, info.n_frames, labels, n_labels, n_frames)
    return Video(id_, file, n_frames, info.fps, times=info.times)
