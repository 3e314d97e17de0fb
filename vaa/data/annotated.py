"""Benchmarks in the layout of LAVAD and URF: `annotations/` with two text files, `videos/`.

The index (`test.txt`) has a line a video: name, first frame, last frame, classes. The spans file has name, class,
start, end, start, end, ..., padded with -1. Video files are not opened here, so a replay needs none of them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vaa.data.boxes import read_boxes
from vaa.data.names import SUFFIXES, stem, unusable
from vaa.errors import VaaError
from vaa.types import Dataset, Failure, GroundTruth, Span, Video

log = logging.getLogger("vaa")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
"""A frame number: a thousand million of them last a year."""


@dataclass(frozen=True)
class AnnotatedDataset:
    """A benchmark under `root`; `index`, `spans`, `boxes` and `texts` are patterns under it, `fps` is its videos'.

    Boxes (see `vaa/boxes.py`) and texts (JSON: video -> reference description) may be missing.
    """

    name: str
    root: str
    index: str
    spans: str
    videos: str
    boxes: str
    texts: str
    fps: float

    def load(self) -> Dataset:
        """The videos of the index, with their spans as annotated; a video without a line of spans is a Failure."""
        index, spans = self._one(self.index, "index"), self._one(self.spans, "spans")
        lengths, truths = read_index(index), self._complete(read_spans(spans))
        files, folder = self._files(), Path(self.root) / self.videos
        videos = tuple(
            Video(name, files.get(name) or folder / f"{name}.mp4", n, self.fps)
            for name, n in lengths.items()
            if name in truths
        )
        failures = [Failure(name, "data", f"{spans.name} has no line for it") for name in lengths if name not in truths]
        past = [video.id for video in videos if any(s.end > video.n_frames for s in truths[video.id].spans)]
        if past:
            log.warning("%d annotations run past the video's end and are cut: %s", len(past), ", ".join(past))
        return Dataset(self.name, videos, truths, failures)

    def _complete(self, truths: Mapping[str, GroundTruth]) -> dict[str, GroundTruth]:
        """Truths with the boxes and the reference texts that are there."""
        boxes = {video: found for file in self._some(self.boxes, "boxes") for video, found in read_boxes(file).items()}
        texts = {video: text for file in self._some(self.texts, "texts") for video, text in read_texts(file).items()}
        return {
            video: replace(truth, boxes=boxes.get(video, ()), text=texts.get(video, ""))
            for video, truth in truths.items()
        }

    def _some(self, pattern: str, key: str) -> list[Path]:
        absolute = Path(pattern).is_absolute()
        return [self._one(pattern, key)] if absolute or any(Path(self.root).glob(pattern)) else []

    def _one(self, pattern: str, key: str) -> Path:
        root = Path(self.root)
        if Path(pattern).is_absolute():
            raise VaaError(f"data.{key}={pattern}: give a pattern under data.root={self.root}.")
        if not root.is_dir():
            raise VaaError(f"data.root={self.root}: no such folder. It should hold annotations/ (and videos/).")
        found = sorted(root.glob(pattern))
        if len(found) != 1:
            what = "no file" if not found else f"{len(found)} files"
            raise VaaError(f"data.{key}={pattern}: {what} of this name under {root}. Name the right one.")
        return found[0]

    def _files(self) -> dict[str, Path]:
        folder = Path(self.root) / self.videos
        return {file.stem: file for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES}


def read_index(file: Path) -> dict[str, int]:
    """Name -> number of frames of each line `name first last classes`; names may hold spaces.

    Raises:
        VaaError: a line is not of this form, or a name comes twice.
    """
    lengths: dict[str, int] = {}
    for number, line in _lines(file):
        parts = line.rsplit(maxsplit=3)
        try:
            name, first, last = _name(parts[0], file, number), _whole(parts[1]), _whole(parts[2])
        except (IndexError, ValueError) as error:
            raise VaaError(f"{file}:{number}: expected 'name first last classes', found {line!r}.") from error
        if name in lengths:
            raise VaaError(f"{file}:{number}: '{name}' comes a second time.")
        if first != 0 or last < 0:
            raise VaaError(f"{file}:{number}: '{name}' has the frames {first} to {last}; they should start at 0.")
        lengths[name] = last + 1
    return lengths


def read_spans(file: Path) -> Mapping[str, GroundTruth]:
    """Name -> truth of each line `name class start end ... -1 -1`.

    Raises:
        VaaError: a line is not of this form, an interval is reversed, or a name comes twice.
    """
    truths: dict[str, GroundTruth] = {}
    for number, line in _lines(file):
        parts = line.split()
        split = len(parts)
        while split > 0 and _WHOLE.fullmatch(parts[split - 1]):
            split -= 1
        numbers = [int(part) for part in parts[split:]]
        if split < 2 or len(numbers) % 2 or not numbers:
            raise VaaError(f"{file}:{number}: expected 'name class start end ...', found {line!r}.")
        name, label = _name(" ".join(parts[: split - 1]), file, number), parts[split - 1]
        pairs = [(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True) if (a, b) != (-1, -1)]
        if any(a < 0 or b < a for a, b in pairs):
            raise VaaError(f"{file}:{number}: '{name}' has an interval that is negative or reversed: {pairs}.")
        if name in truths:
            raise VaaError(f"{file}:{number}: '{name}' comes a second time.")
        truths[name] = GroundTruth(tuple(Span(a, b, label) for a, b in pairs), label)
    return truths


def read_texts(file: Path) -> dict[str, str]:
    """Video -> reference description.

    Raises:
        VaaError: the file is no JSON mapping of names to texts.
    """
    try:
        pairs = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=tuple)
        if not isinstance(pairs, tuple) or not all(
            isinstance(video, str) and isinstance(text, str) for video, text in pairs
        ):
            raise ValueError("something in it is no text")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise VaaError(f"{file}: expected a JSON mapping of videos to texts: {error}") from error
    texts = {stem(video): text for video, text in pairs}
    if len(texts) < len(pairs):
        names = [stem(video) for video, _ in pairs]
        raise VaaError(f"{file}: '{next(n for n in names if names.count(n) > 1)}' comes a second time.")
    return texts


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise VaaError(f"{file}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise VaaError(
            f"{file}:{line}: not UTF-8 text ({error.reason}). Write it anew: iconv -f LATIN1 -t UTF-8, or -f UTF-16."
        ) from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _name(text: str, file: Path, number: int) -> str:
    name = stem(text)
    if reason := unusable(name):
        raise VaaError(f"{file}:{number}: {name!r} {reason}.")
    return name


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"no frame number: {text}")
    return int(text)
