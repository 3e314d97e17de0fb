"""Benchmarks in the layout of LAVAD, URF and VADTree: `annotations/` with two text files, `videos/`.

The index (`test.txt`, VADTree's `anomaly_test.txt`) has one line per video: name, first frame, last frame, classes. The
spans file (`Temporal*.txt`, or MSAD's `msad_anomaly_index.txt`) has name, class, start, end, start, end, ..., padded
with -1. A replay needs no video files; of those that are there, the headers are read for their frame rates.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaa.data.base import video_id, why_invalid
from vaa.data.boxes import read_boxes
from vaa.data.fetch import RELEASES
from vaa.data.search import files_by_name, find_video
from vaa.errors import ConfigError, DataError
from vaa.types import Dataset, Failure, GroundTruth, Span, Video, local_path
from vaa.video.sources import average_rate

log = logging.getLogger("vaa")
_MAX_NAMES = 10  # of videos in a warning
_TOLERANCE = 0.002  # of a frame rate: 29.97 counts as 30
_INTEGER = re.compile(r"-?[0-9]{1,9}")
"""A frame number: 1e9 frames are a year of video."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedDataset:
    """A benchmark under `root`: `index`, `spans`, `boxes` and `texts` are patterns under it.

    Exactly one file must match `index`, and one `spans`; each is a pattern or a list of patterns. Boxes
    (vaa/data/boxes.py) and texts (JSON: video -> reference description) are optional. `fps` is the frame rate of videos
    whose file is not there, and with `file_fps: false` that of all; a video has the average rate of its file otherwise.
    `base` is the number of a video's first frame in `spans`, 0 or 1.
    """

    name: str
    root: str
    index: str | Sequence[str]
    spans: str | Sequence[str]
    videos: str
    boxes: str
    texts: str
    fps: float
    file_fps: bool
    base: int

    def __post_init__(self) -> None:
        if self.base not in (0, 1):
            raise ConfigError(f"data.base={self.base}: give 0 or 1, the number of a video's first frame.")
        if not self.fps > 0:
            raise ConfigError(f"data.fps={self.fps}: must be above 0.")

    def load(self) -> Dataset:
        """The videos of the index, with their spans; a video without a line of spans is a failure.

        Raises:
            DataError: a file is missing, matches a pattern twice, or has another layout.
            ConfigError: a pattern is not relative.
        """
        index, spans = self._find_one(self.index, "index"), self._find_one(self.spans, "spans")
        lengths, truths = read_index(index), self._add_boxes_and_texts(read_spans(spans, self.base))
        if not lengths:
            raise DataError(f"{index}: lists no video.")
        files = self._video_files(lengths)
        folder = local_path(self.root) / self.videos
        paths = {id_: find_video(files, id_) for id_ in lengths if id_ in truths}
        rates = self._rates([path for path in paths.values() if path is not None])
        videos = tuple(
            Video(id_, path or folder / f"{id_}.mp4", lengths[id_], rates.get(path, self.fps) if path else self.fps)
            for id_, path in paths.items()
        )
        failures = [Failure(id_, "data", f"{spans.name} has no line for it") for id_ in lengths if id_ not in truths]
        past_end = [video.id for video in videos if any(s.stop > video.n_frames + 1 for s in truths[video.id].spans)]
        if past_end:
            log.warning("%d videos have spans past their end, which are cut: %s", len(past_end), ", ".join(past_end))
        return Dataset(self.name, videos, truths, failures)

    def missing_files(self, *, videos: bool) -> tuple[str, ...]:
        """A message for each annotation file that is missing; with `videos` also about videos without a file."""
        if not local_path(self.root).is_dir():
            return (f"data.root={self.root}: no such folder. {self._expected_layout()}",)
        wanted = ((self.index, "index"), (self.spans, "spans"))
        missing = [self._not_one(*each) for each in wanted if len(self._matches(*each)) != 1]
        if missing:
            missing[-1] = f"{missing[-1]} {self._expected_layout()}"
        if videos and len(index := self._matches(self.index, "index")) == 1:
            missing += self._missing_videos(index[0])
        return tuple(missing)

    def _missing_videos(self, index: Path) -> list[str]:
        folder = local_path(self.root) / self.videos
        try:
            ids = list(read_index(index))
            files = self._video_files(ids)
        except DataError as error:
            return [str(error)]
        without = [id_ for id_ in ids if find_video(files, id_) is None]
        return without and [
            f"data.videos={self.videos}: {len(without)} of {len(ids)} videos have no file under {folder}, the first is "
            f"'{without[0]}'. The data set's authors distribute them; a file has the name of its video."
        ]

    def _rates(self, files: Sequence[Path]) -> dict[Path, float]:
        """The frame rates of files that state one; where `fps` differs from them, that is logged."""
        stated = {file: rate for file in files if (rate := average_rate(file)) is not None}
        other = [f"{file.stem} ({rate:.5g})" for file, rate in stated.items() if abs(rate / self.fps - 1) > _TOLERANCE]
        if other:
            log.warning(
                "%d of %d video files have another frame rate than data.fps=%.5g; windows and times use %s: %s",
                len(other),
                len(files),
                self.fps,
                "their own" if self.file_fps else "data.fps all the same (data.file_fps=false)",
                ", ".join(other[:_MAX_NAMES]) + (", ..." if len(other) > _MAX_NAMES else ""),
            )
        return stated if self.file_fps else {}

    def _add_boxes_and_texts(self, truths: Mapping[str, GroundTruth]) -> dict[str, GroundTruth]:
        boxes = {id_: b for file in self._find_optional(self.boxes, "boxes") for id_, b in read_boxes(file).items()}
        texts = {id_: t for file in self._find_optional(self.texts, "texts") for id_, t in read_texts(file).items()}
        return {id_: replace(truth, boxes=boxes.get(id_, ()), text=texts.get(id_, "")) for id_, truth in truths.items()}

    def _find_optional(self, pattern: str, key: str) -> list[Path]:
        absolute = Path(pattern).is_absolute()
        return [self._find_one(pattern, key)] if absolute or any(local_path(self.root).glob(pattern)) else []

    def _find_one(self, pattern: str | Sequence[str], key: str) -> Path:
        files = self._matches(pattern, key)
        if not local_path(self.root).is_dir():
            raise DataError(f"data.root={self.root}: no such folder. {self._expected_layout()}")
        if len(files) != 1:
            raise DataError(f"{self._not_one(pattern, key)} {self._expected_layout()}")
        return files[0]

    def _matches(self, pattern: str | Sequence[str], key: str) -> list[Path]:
        patterns = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        if any(Path(each).is_absolute() for each in patterns):
            raise ConfigError(f"data.{key}={_alternatives(pattern)}: give a pattern under data.root={self.root}.")
        return sorted({file for each in patterns for file in local_path(self.root).glob(each)})

    def _not_one(self, pattern: str | Sequence[str], key: str) -> str:
        """What is wrong where not exactly one file matches a pattern."""
        root, files = local_path(self.root), self._matches(pattern, key)
        names = ", ".join(str(file.relative_to(root)) for file in files)
        count = f"{len(files)} files of this name under {root} ({names})" if files else f"no file under {root}"
        return f"data.{key}={_alternatives(pattern)}: {count}. Give a pattern that matches one."

    def _expected_layout(self) -> str:
        """What should be where, and how to get it."""
        files = (
            (_alternatives(self.index), "a line per video: name, first frame, last frame, classes"),
            (_alternatives(self.spans), "a line per video: name, class, start, end, ..., -1 -1"),
            (f"{self.videos}/NAME.mp4", "for methods that decode frames"),
        )
        layout = "\n".join(f"  {file}: {content}" for file, content in files)
        folder = f"data/{self.name}"
        release = next((name for name, r in RELEASES.items() if any(f.startswith(folder) for f in r.expected)), None)
        fetch = f"\nAnnotations: python -m vaa.data.fetch {release} DIR, then data.root=DIR/{folder}" if release else ""
        return f"Expected in it:\n{layout}{fetch}"

    def _video_files(self, ids: Iterable[str]) -> dict[str, Path]:
        return files_by_name(local_path(self.root) / self.videos, ids, f"data.videos={self.videos}")


def _alternatives(pattern: str | Sequence[str]) -> str:
    return pattern if isinstance(pattern, str) else " or ".join(pattern)


def read_index(file: Path) -> dict[str, int]:
    """Video id -> number of frames, from lines `name first last classes`; names may contain spaces.

    Raises:
        DataError: a line is not of this form, or a name occurs twice.
    """
    lengths: dict[str, int] = {}
    for number, line in _read_lines(file):
        parts = line.rsplit(maxsplit=3)
        try:
            id_, first, last = _parse_id(parts[0], file, number), _parse_int(parts[1]), _parse_int(parts[2])
        except (IndexError, ValueError) as error:
            raise DataError(f"{file}:{number}: expected 'name first last classes', not {line!r}.") from error
        if id_ in lengths:
            raise DataError(f"{file}:{number}: '{id_}' occurs a second time.")
        if first != 0 or last < 0:
            raise DataError(f"{file}:{number}: '{id_}' has the frames {first} to {last}; they should start at 0.")
        lengths[id_] = last + 1
    return lengths


def read_spans(file: Path, base: int = 0) -> Mapping[str, GroundTruth]:
    """Video id -> spans and class, from lines `name class start end ... -1 -1`, ends inclusive; frames from `base`.

    Raises:
        DataError: a line is not of this form, an interval is reversed, or a name occurs twice.
    """
    truths: dict[str, GroundTruth] = {}
    for number, line in _read_lines(file):
        parts = line.split()
        split = len(parts)
        while split > 0 and _INTEGER.fullmatch(parts[split - 1]):
            split -= 1
        bounds = [int(part) for part in parts[split:]]
        if split < 2 or len(bounds) % 2 or not bounds:
            raise DataError(f"{file}:{number}: expected 'name class start end ...', not {line!r}.")
        id_, label = _parse_id(" ".join(parts[: split - 1]), file, number), parts[split - 1]
        pairs = [(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=True) if (a, b) != (-1, -1)]
        if any(a < 0 or b < a for a, b in pairs):
            raise DataError(f"{file}:{number}: '{id_}' has an interval that is negative or reversed: {pairs}.")
        if any(a < base for a, _ in pairs):
            raise DataError(f"{file}:{number}: '{id_}' has an interval from 0, but data.base={base}: try data.base=0.")
        if id_ in truths:
            raise DataError(f"{file}:{number}: '{id_}' occurs a second time.")
        truths[id_] = GroundTruth(tuple(Span(a - base, b - base + 1, label) for a, b in pairs), label)
    return truths


def read_texts(file: Path) -> dict[str, str]:
    """Video id -> reference description.

    Raises:
        DataError: the file is not a JSON mapping of names to texts.
    """
    try:
        pairs = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=tuple)
        if not isinstance(pairs, tuple) or not all(isinstance(part, str) for pair in pairs for part in pair):
            raise ValueError("a value in it is not a text")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: expected a JSON mapping of videos to texts: {error}") from error
    texts = {video_id(name): text for name, text in pairs}
    if len(texts) < len(pairs):
        ids = [video_id(name) for name, _ in pairs]
        raise DataError(f"{file}: '{next(id_ for id_ in ids if ids.count(id_) > 1)}' occurs a second time.")
    return texts


def _read_lines(file: Path) -> list[tuple[int, str]]:
    """Line numbers, from 1, and lines that are not empty."""
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}:{number}: not UTF-8 text ({error.reason}). Convert it: iconv -f LATIN1 -t UTF-8, or -f UTF-16."
        ) from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _parse_id(name: str, file: Path, number: int) -> str:
    id_ = video_id(name)
    if reason := why_invalid(id_):
        raise DataError(f"{file}:{number}: {id_!r} {reason}.")
    return id_


def _parse_int(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"not a frame number: {text}")
    return int(text)
