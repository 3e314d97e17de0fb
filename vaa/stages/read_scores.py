"""Scores already on disk, a JSON file a video: frame number -> score (the layout of LAVAD and URF)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType

import numpy as np
import orjson
from numpy.typing import NDArray

from vaa.errors import VaaError, VideoError
from vaa.types import Report, ScoreTrack, file_name

Starts = NDArray[np.int64]
Values = NDArray[np.float64]
_MOST = 10**8  # frames: a month of video


@dataclass(frozen=True)
class ReadScores:
    """Read `root/VIDEO.json`; a null, NaN or -1 is an unread score: counted, and interpolated between neighbours."""

    root: str

    def __post_init__(self) -> None:
        if not Path(self.root).is_dir():
            raise VaaError(f"scores.root={self.root}: no such folder.")

    def __call__(self, report: Report) -> Report:
        """The report with the track of its file.

        Raises:
            VideoError: there is no file for the video, or it is no mapping of frame numbers to scores in [0, 1].
        """
        file = self._file(report.video.id)
        starts, values = _read(file)
        usable = (values >= 0) & (values <= 1)
        if not usable.all():
            values = _between(file, starts, values, usable)
        read, missed = report.answers + len(values), report.unparsed + len(values) - int(usable.sum())
        return replace(report, track=ScoreTrack(values, starts), answers=read, unparsed=missed)

    def _file(self, video: str) -> Path:
        for name in (file_name(video), file_name(f"{video}.mp4")):
            if (file := Path(self.root) / name).is_file():
                return file
        raise VideoError(f"no scores: {Path(self.root) / file_name(video)} does not exist.")


def _between(file: Path, starts: Starts, values: Values, usable: NDArray[np.bool_]) -> Values:
    """Scores that stand for none are interpolated between their neighbours."""
    wrong = ~usable & ~np.isnan(values) & (values != -1)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise VideoError(f"{file}: frame {starts[k]} has the score {values[k]}, which is not in [0, 1].")
    if not usable.any():
        raise VideoError(f"{file}: not one score that could be read.")
    return np.interp(starts, starts[usable], values[usable])


def _read(file: Path) -> tuple[Starts, Values]:
    try:
        text = file.read_bytes()
        starts, values = _usual(text) or _pairs(text)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise VideoError(f"{file}: not a JSON mapping of frame numbers to scores: {error}") from error
    if (starts[1:] <= starts[:-1]).any():
        order = np.argsort(starts)
        starts, values = starts[order], values[order]
    if not len(starts) or starts[0] < 0 or starts[-1] >= _MOST:
        raise VideoError(f"{file}: holds no scores, or a negative frame number, or one of {_MOST} or more.")
    if (starts[1:] == starts[:-1]).any():
        raise VideoError(f"{file}: a frame comes a second time.")
    return starts, values


def _usual(text: bytes) -> tuple[Starts, Values] | None:
    """Of a mapping of whole numbers to numbers, each once; None for all else, which `_pairs` reads or refuses."""
    try:
        held = orjson.loads(text)
        if not isinstance(held, dict) or len(held) != text.count(b":"):  # of a key that comes twice it keeps one
            return None
        starts = np.fromiter(map(int, held), np.int64, len(held))
    except (ValueError, OverflowError):  # NaN, a byte order mark, or no JSON
        return None
    if not {type(score) for score in held.values()} <= {float, int, NoneType}:
        return None
    values = np.array(list(held.values()), dtype=np.float64)
    return None if np.isinf(values).any() else (starts, values)


def _pairs(text: bytes) -> tuple[Starts, Values]:
    pairs = json.loads(text.decode("utf-8-sig"), object_pairs_hook=tuple)
    if not isinstance(pairs, tuple):
        raise TypeError("it is no mapping")
    scores = [(max(-1, min(int(frame), _MOST)), _number(score)) for frame, score in pairs]
    starts, values = zip(*scores, strict=True) if scores else ((), ())
    return np.array(starts, dtype=np.int64), np.array(values, dtype=np.float64)


def _number(score: object) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float | str | None):
        raise TypeError(f"{score} is no score")
    return np.nan if score is None else float(score)
