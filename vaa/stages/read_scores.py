"""Scores from disk: a file per video (JSON of LAVAD, URF, Probe-VAD, VERA; npy; csv), or VADTree's of all videos."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import ClassVar

import numpy as np
import orjson
from numpy.typing import NDArray

from vaa.data.base import known_names
from vaa.data.score_files import FileScores, read_array, read_table
from vaa.data.vadtree import parse_scores, read_score_file
from vaa.errors import ConfigError, VideoError, require_at_least
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.types import Report, ScoreTrack, file_name, local_path

Starts = NDArray[np.int64]
Values = NDArray[np.float64]
_SUFFIXES = (".json", ".npy", ".csv")
_MAX_FRAMES = 10**8  # a month of video


@dataclass(frozen=True, kw_only=True)
class ReadScores:
    """Read the scores of a video; a null, NaN or -1 counts as unparsed and is interpolated.

    `root` is a folder with `VIDEO.json` (frame number -> score, or an object with a `score`, as VERA's program writes),
    `VIDEO.npy` or `VIDEO.csv` (vaa/data/score_files.py; detections become boxes too), or a file of VADTree
    (vaa/data/vadtree.py). Its node scores are expanded to frames: a frame that two nodes share
    belongs to the later one, and frames after the last node have no score. `field`: which score of a node is read where
    the file has two, refined or raw. `step`: frames of each value of a file without frame numbers. Scores from `lowest`
    to `highest` become 0 to 1.
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    root: str
    field: str
    step: int
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        require_at_least(1, step=self.step)
        if not self.lowest < self.highest:
            raise ConfigError(f"scores.lowest={self.lowest}: must be below scores.highest={self.highest}.")
        if self.field not in ("refined", "raw"):
            raise ConfigError(f"scores.field={self.field}: choose refined or raw.")
        if not local_path(self.root).exists():
            raise ConfigError(f"scores.root={self.root}: no such folder or file.")

    def __call__(self, report: Report) -> Report:
        """The report with the track of its video.

        Raises:
            VideoError: there are no scores of the video, or they are in another layout or not in [0, 1].
            DataError: a file of all videos cannot be read.
        """
        path, name = self._find(report.video.id)
        if name is None:
            place, stop = str(path), None
            content = self._read_file(path, report.video.n_frames)
            starts, values, boxes = content.starts, content.values, content.boxes
        else:
            place = f"{path}, {name}"
            scores = parse_scores(read_score_file(path)[name], place, self.field)
            starts, values, stop = scores.starts, scores.values, scores.stop
            boxes = ()
        if (self.lowest, self.highest) != (0, 1):
            values = (values - self.lowest) / (self.highest - self.lowest)
        usable = (values >= 0) & (values <= 1)
        if not usable.all():
            values = _interpolated(place, starts, values, usable)
        n_answers, n_unparsed = report.n_answers + len(values), report.n_unparsed + len(values) - int(usable.sum())
        track = (
            ScoreTrack(values, starts) if stop is None else _expand(values, starts, min(stop, report.video.n_frames))
        )
        return replace(report, track=track, boxes=boxes, n_answers=n_answers, n_unparsed=n_unparsed)

    def _read_file(self, path: Path, n_frames: int) -> FileScores:
        if path.suffix == ".npy":
            return read_array(path, self.step)
        if path.suffix == ".csv":
            return read_table(path, self.step, n_frames)
        starts, values = _read(path)
        return FileScores(starts=starts, values=values)

    def _find(self, video: str) -> tuple[Path, str | None]:
        """The file of a video's scores, and its name there if the file has all videos."""
        root, names = local_path(self.root), known_names(video)
        if root.is_file():
            name = next((name for name in names if name in read_score_file(root)), None)
            if name is None:
                raise VideoError(f"no scores: {root} has no '{video}'.")
            return root, name
        files = (root / file_name(name) for name in names)
        known = (file.with_name(f"{file.name.removesuffix('.json')}{end}") for file in files for end in _SUFFIXES)
        file = next((file for file in known if file.is_file()), None)
        if file is None:
            raise VideoError(f"no scores: {root / file_name(video)} does not exist.")
        return file, None


def _expand(values: Values, starts: Starts, stop: int) -> ScoreTrack:
    """One score per frame from `starts[0]` to `stop - 1`."""
    edges = np.minimum(np.append(starts, stop), stop)
    return ScoreTrack(np.repeat(values, np.diff(edges)), np.arange(edges[0], stop))


def _interpolated(place: str, starts: Starts, values: Values, usable: NDArray[np.bool_]) -> Values:
    """The scores, with those that are not usable interpolated between their neighbours."""
    wrong = ~usable & ~np.isnan(values) & (values != -1)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise VideoError(
            f"{place}: frame {starts[k]} has the score {values[k]}, which is not in [0, 1]. "
            "For other scores give scores.lowest and scores.highest."
        )
    if not usable.any():
        raise VideoError(f"{place}: has no valid score.")
    return np.interp(starts, starts[usable], values[usable])


def _read(file: Path) -> tuple[Starts, Values]:
    try:
        text = file.read_bytes()
        starts, values = _read_fast(text) or _read_any(text)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise VideoError(f"{file}: not a JSON mapping of frame numbers to scores: {error}") from error
    if (starts[1:] <= starts[:-1]).any():
        order = np.argsort(starts)
        starts, values = starts[order], values[order]
    if not len(starts) or starts[0] < 0 or starts[-1] >= _MAX_FRAMES:
        raise VideoError(f"{file}: has no scores, or a frame number that is negative or not below {_MAX_FRAMES}.")
    if (starts[1:] == starts[:-1]).any():
        raise VideoError(f"{file}: a frame number occurs twice.")
    return starts, values


def _read_fast(text: bytes) -> tuple[Starts, Values] | None:
    """Read a mapping of distinct integers to numbers; None for anything else, which `_read_any` reads or refuses."""
    try:
        scores = orjson.loads(text)
        if not isinstance(scores, dict) or len(scores) != text.count(b":"):  # orjson drops repeated keys
            return None
        starts = np.fromiter(map(int, scores), np.int64, len(scores))
    except (ValueError, OverflowError):  # NaN, a byte order mark, or not JSON
        return None
    if not {type(score) for score in scores.values()} <= {float, int, NoneType}:
        return None
    values = np.array(list(scores.values()), dtype=np.float64)
    return None if np.isinf(values).any() else (starts, values)


def _read_any(text: bytes) -> tuple[Starts, Values]:
    pairs = json.loads(text.decode("utf-8-sig"), object_pairs_hook=tuple)
    if not isinstance(pairs, tuple):
        raise TypeError("not a mapping")
    scores = [(max(-1, min(int(frame), _MAX_FRAMES)), _number(score)) for frame, score in pairs]
    starts, values = zip(*scores, strict=True) if scores else ((), ())
    return np.array(starts, dtype=np.int64), np.array(values, dtype=np.float64)


def _number(score: object) -> float:
    if isinstance(score, tuple):  # the pairs of an object
        score = dict(score)["score"]
    if isinstance(score, bool) or not isinstance(score, int | float | str | None):
        raise TypeError(f"{score} is not a score")
    return np.nan if score is None else float(score)
