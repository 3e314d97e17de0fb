"""The video files under a folder, in linked folders too; whatever is not taken is listed with a reason."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vaa.data.base import VIDEO_SUFFIXES, known_names
from vaa.errors import DataError

log = logging.getLogger("vaa")

HIDDEN, NOT_VIDEO, SYSTEM = "hidden", "not a video by the suffix", "a folder of the system"
RESULTS = "results of runs"
_SYSTEM_FOLDERS = {"lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "#recycle", "__MACOSX"}
_OTHER_SUFFIXES = {
    *(".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".log", ".nfo"),
    *(".html", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".url", ".lnk", ".torrent"),
    *(".srt", ".vtt", ".ass", ".ssa", ".sub", ".idx", ".sbv", ".m3u8", ".mpd", ".sdp", ".bif", ".thm"),
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".svg", ".ico", ".heic", ".avif", ".psd"),
    *(".mp3", ".wav", ".flac", ".aac", ".m4a", ".ogg", ".opus", ".wma", ".ac3", ".amr"),
    *(".zip", ".gz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz", ".part", ".md5", ".sha1", ".sha256"),
    *(".npy", ".npz", ".pkl", ".pickle", ".pt", ".pth", ".h5", ".hdf5", ".mat", ".parquet", ".sqlite", ".db"),
    *(".py", ".ipynb", ".sh", ".bat", ".exe", ".dll", ".so", ".js", ".css", ".cfg", ".conf"),
}
"""Of files that often lie beside videos. Files with other suffixes are opened to see what they are."""
_ALSO_TYPESCRIPT = {".ts", ".mts"}
_TEXT_SAMPLE = 1024  # bytes
_NO_VIDEO_FORMATS = {"tty", "hls", "dash", "concat", "sdp", "rtsp", "gif", "ico", "fits", "apng"}
"""FFmpeg reads pictures and texts as videos too, and lists of other files, which are not opened."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or a folder that is not taken, and why."""

    path: Path
    reason: str


@dataclass
class Search:
    """What is under `root`, in the order of the paths.

    Attributes:
        videos: Files with the suffix of a video.
        unknown: Files with another suffix or none, which may be videos (`is_video`).
        left_out: Everything else.
        unreadable: Folders that cannot be read, and links with the suffix of a video that lead nowhere.
    """

    root: Path
    videos: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    unreadable: list[LeftOut] = field(default_factory=list)

    def add_folder(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Add the files of one folder; returns its folders, and its links to folders."""
        folders: list[Path] = []
        links: list[Path] = []
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable.append(LeftOut(folder, f"the folder cannot be read: {error.strerror}"))
            return folders, links
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                might_be_video = _is_dir(entry) or path.suffix.lower() in VIDEO_SUFFIXES
                self.left_out.append(LeftOut(path, HIDDEN if might_be_video else NOT_VIDEO))
            elif _is_dir(entry) and entry.name in _SYSTEM_FOLDERS:
                self.left_out.append(LeftOut(path, SYSTEM))
            elif _is_dir(entry) and _has_results(path):
                self.left_out.append(LeftOut(path, RESULTS))
            elif _is_dir(entry):
                (links if entry.is_symlink() else folders).append(path)
            else:
                self._add_file(path)
        return folders, links

    def _add_file(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if not path.is_file():
            missing = LeftOut(path, "a link that leads nowhere" if path.is_symlink() else "not a file")
            (self.unreadable if suffix in VIDEO_SUFFIXES else self.left_out).append(missing)
        elif suffix in _OTHER_SUFFIXES or (suffix in _ALSO_TYPESCRIPT and _is_text(path)):
            self.left_out.append(LeftOut(path, NOT_VIDEO))
        else:
            (self.videos if suffix in VIDEO_SUFFIXES else self.unknown).append(path)


def search(root: Path) -> Search:
    """Search a folder and all folders in it; a folder that several paths lead to is searched once.

    Links to folders are followed after the folders themselves, so that a video has the path without a link if it has
    one. A link to a folder that contains `root` is not followed.
    """
    found, searched = Search(root), {Path(os.path.realpath(root))}
    folders, links = (deque(paths) for paths in found.add_folder(root))
    while folders or links:
        folder = (folders or links).popleft()
        real = Path(os.path.realpath(folder))
        if real in searched or real in root.resolve().parents:
            found.left_out.append(
                LeftOut(folder, f"a link to {real}, which is searched already or contains this folder")
            )
            continue
        searched.add(real)
        inner_folders, inner_links = found.add_folder(folder)
        folders.extend(inner_folders)
        links.extend(inner_links)
    for paths in (found.videos, found.unknown):
        paths.sort()
    return found


def files_by_name(folder: Path, ids: Iterable[str], key: str) -> dict[str, Path]:
    """Name without suffix -> video file under a folder, in linked folders too; empty without the folder.

    Args:
        folder: the folder.
        ids: the videos that are needed.
        key: the setting that names the folder.

    Raises:
        DataError: one of the videos has the name of two files.
    """
    files = dict[str, Path]()
    if not folder.is_dir():
        return files
    names = {name for id_ in ids for name in known_names(id_)}
    found = search(folder)
    for entry in found.unreadable:
        log.warning("%s: %s", entry.path, entry.reason)
    for file in found.videos:
        other = files.setdefault(file.stem, file)
        if other != file and file.stem in names and not file.samefile(other):
            raise DataError(
                f"{key}: '{file.stem}' is the name of two files, {other} and {file}. Videos are matched by name: "
                "remove or rename the one that is not of this data set."
            )
    return files


def find_video(files: Mapping[str, Path], id_: str) -> Path | None:
    """The file of a video among those of `files_by_name`."""
    return next((files[name] for name in known_names(id_) if name in files), None)


def is_video(file: Path) -> bool:
    """Whether FFmpeg finds moving pictures in a file, whatever its name. It may hang or crash on a damaged file."""
    import av

    try:
        with av.open(str(file), options={"protocol_whitelist": "file"}) as container:
            names = set(container.format.name.split(","))
            pictures = any(name.endswith("_pipe") or name.startswith("image2") for name in names)
            cover = av.stream.Disposition.attached_pic
            streams = [stream for stream in container.streams.video if cover not in stream.disposition]
            return bool(streams) and not pictures and not names & _NO_VIDEO_FORMATS
    except (av.FFmpegError, OSError, ValueError):
        return False


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _has_results(folder: Path) -> bool:
    """Whether it is a run's folder, or `outputs` with the cache and the copies of videos with boxes."""
    inside = ("cache", "drawn") if folder.name == "outputs" else (".hydra",)
    return any((folder / name).is_dir() for name in inside)


def _is_text(path: Path) -> bool:
    """Whether a file begins with text: TypeScript has the suffixes of MPEG transport streams."""
    try:
        with path.open("rb") as file:
            sample = file.read(_TEXT_SAMPLE)
    except OSError:
        return False
    return bool(sample) and 0 not in sample
