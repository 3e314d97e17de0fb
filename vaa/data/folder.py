"""A folder of the user's own videos; with a table of labels a run computes metrics too."""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vaa import process
from vaa.data.base import VIDEO_SUFFIXES, why_invalid
from vaa.data.interval_table import read_interval_table
from vaa.data.search import NOT_VIDEO, SYSTEM, LeftOut, Search, is_video, search
from vaa.errors import DataError, DecodeTimeoutError, VideoError
from vaa.types import Dataset, DecoderName, Failure, GroundTruth, Video, local_path
from vaa.video.sources import VideoInfo, probe, timeout_reason

log = logging.getLogger("vaa")
T = TypeVar("T")

_MAX_NAMES = 10  # files that the log names for each reason


@dataclass(frozen=True, kw_only=True)
class VideoFolder:
    """All videos under `root`, in linked folders too, or the one that `root` is.

    An id is the path under the folder, with the suffix where two need it.

    A file of unknown suffix is opened and taken if it is a video; it is a failure if opening it reaches the time limit
    or ends the process. What is left out is logged, counted by `left_out`.
    `labels`: a table of anomalous intervals (vaa/data/interval_table.py), None for a folder without labels.
    `annotators`: which of them count where several people have annotated: "majority", "any", "all" or a name.
    """

    name: str
    root: str
    labels: str | None
    annotators: str
    decoder: DecoderName

    def load(self) -> Dataset:
        """The videos that can be opened; the others, and folders that cannot be read, are failures.

        Raises:
            DataError: the folder is missing or has no video, or the table of labels does not fit it.
        """
        root = local_path(self.root)
        if not root.exists():
            raise DataError(f"data.root={self.root}: no such folder or file.")
        found = search(root) if root.is_dir() else Search(root.parent, videos=[root])
        root = found.root
        recognised, failures = self._recognise(found)
        files = [*found.videos, *recognised]
        _log_left_out(found)
        if not files and not found.unreadable and not failures:
            raise DataError(
                f"data.root={self.root}: no video in it, and {len(found.left_out)} files or folders that are none. "
                f"Known suffixes: {', '.join(VIDEO_SUFFIXES)}; others are opened."
            )
        by_id = {id_: file for file, id_ in zip(sorted(files), _ids(root, sorted(files)), strict=True)}
        videos: list[Video] = []
        failures += [
            Failure(_relative_name(entry.path, root), "data", f"{entry.path}: {entry.reason}.")
            for entry in found.unreadable
        ]
        for id_ in [id_ for id_ in by_id if why_invalid(id_)]:
            failures.append(Failure(_printable(id_), "data", f"its name {why_invalid(id_)}"))
            del by_id[id_]
        for (id_, file), result in zip(
            by_id.items(), _open_all(probe, list(by_id.values()), self.decoder), strict=True
        ):
            if isinstance(result, VideoError):
                failures.append(Failure(id_, "data", str(result)))
            else:
                if not result.timed:
                    _warn_of_guessed_times(file, result.fps)
                videos.append(Video(id_, file, result.n_frames, result.fps, times=result.times))
        truths = {} if self.labels is None else self._read_labels(self.labels, root, videos, by_id, failures)
        return Dataset(self.name, tuple(videos), truths, failures, len(found.left_out))

    def _read_labels(
        self,
        labels: str,
        root: Path,
        videos: Sequence[Video],
        by_id: Mapping[str, Path],
        failures: Sequence[Failure],
    ) -> dict[str, GroundTruth]:
        """The ground truth of all videos; those without an interval are logged."""
        failed = [failure.video for failure in failures]
        failed += [by_id[id_].relative_to(root).as_posix() for id_ in failed if id_ in by_id]
        truths = read_interval_table(local_path(labels), root, videos, failed, self.annotators)
        normal = [_printable(id_) for id_, truth in truths.items() if not truth.spans]
        if normal:
            log.info(
                "%s: %d of %d videos have no interval and count as normal: %s",
                labels,
                len(normal),
                len(truths),
                _names(normal),
            )
        return truths

    def _recognise(self, found: Search) -> tuple[list[Path], list[Failure]]:
        """The files of unknown suffixes that can be decoded, and those that may be videos; the others are left out."""
        videos, failures = [], []
        for file, result in zip(found.unknown, _open_all(_probe_unknown, found.unknown, self.decoder), strict=True):
            if isinstance(result, VideoInfo):
                videos.append(file)
            elif isinstance(result, VideoError):
                failures.append(Failure(_relative_name(file, found.root), "data", str(result)))
            else:
                found.left_out.append(LeftOut(file, result))
        return videos, failures


def _ids(root: Path, files: Sequence[Path]) -> list[str]:
    """Paths under the root without suffixes, or with them where two would be equal."""
    names = [file.relative_to(root).as_posix() for file in files]
    stems = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    uses = Counter([*names, *stems])
    return [stem if uses[stem] == 1 + (stem == name) else name for name, stem in zip(names, stems, strict=True)]


def _log_left_out(found: Search) -> None:
    """Log how many files and folders are not taken, by reason; a warning unless their suffixes say it all."""
    by_reason: dict[str, list[str]] = {}
    for entry in found.left_out:
        by_reason.setdefault(entry.reason, []).append(_relative_name(entry.path, found.root))
    for reason, paths in by_reason.items():
        log.log(
            logging.INFO if reason in (NOT_VIDEO, SYSTEM) else logging.WARNING,
            "%s: left out: %s (%d): %s",
            found.root,
            reason,
            len(paths),
            _names(paths),
        )


def _names(names: Sequence[str]) -> str:
    """The first names of a list, for the log."""
    return ", ".join(names[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")


def _warn_of_guessed_times(file: Path, fps: float) -> None:
    log.warning(
        "%s: its time stamps go back, repeat or are missing (two recordings joined, a raw stream). Times in this run "
        "are computed from its average rate (%.4g frames per second) and may be wrong. Store recordings in separate "
        "files, and raw streams in a container such as MP4.",
        file,
        fps,
    )


def _relative_name(path: Path, root: Path) -> str:
    return _printable(path.relative_to(root).as_posix())


def _printable(path: str) -> str:
    """A path with bytes that are not text escaped."""
    return path.encode(errors="backslashreplace").decode()


def _probe_unknown(file: Path, decoder: str) -> VideoInfo | str:
    """What a file of unknown suffix consists of, or why it is left out.

    Raises:
        DecodeTimeoutError: opening it reaches the time limit.
    """
    if not is_video(file):
        return "no video stream in it"
    try:
        return probe(file, decoder)
    except DecodeTimeoutError:
        raise
    except VideoError:
        return "no video that the decoder can open"


def _open_all(action: Callable[[Path, str], T], files: Sequence[Path], decoder: str) -> Iterator[T | VideoError]:
    """Each file is opened in another process, since it may make the decoder hang or crash."""
    from pebble import ProcessExpired, ProcessPool

    if not files:
        return
    process.protect_forks()
    limit = process.decode_timeout()
    with ProcessPool(1, context=multiprocessing.get_context("fork")) as pool:
        futures = [pool.schedule(action, args=[file, decoder], timeout=limit) for file in files]
        for file, future in zip(files, futures, strict=True):
            try:
                yield future.result()
            except VideoError as error:
                yield error
            except TimeoutError:
                yield VideoError(f"{file}: opening it {timeout_reason(limit)}")
            except ProcessExpired as error:
                yield VideoError(f"{file}: opening it ended the process ({error}). Does it play?")
