"""Scores already on disk, a JSON file a video: frame number -> score (the layout of LAVAD and URF)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vaa.types import Report, ScoreTrack, VaaError, VideoError, file_name

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
        unread = np.isnan(values) | (values == -1)
        wrong = ~unread & ~((values >= 0) & (values <= 1))
        if wrong.any():
            k = int(np.argmax(wrong))
            raise VideoError(f"{file}: frame {starts[k]} has the score {values[k]}, which is not in [0, 1].")
        if unread.all():
            raise VideoError(f"{file}: not one score that could be read.")
        values = np.interp(starts, starts[~unread], values[~unread])
        read, missed = report.answers + len(values), report.unread + int(unread.sum())
        return replace(report, track=ScoreTrack(values, starts), answers=read, unread=missed)

    def _file(self, video: str) -> Path:
        for name in (file_name(video), file_name(f"{video}.mp4")):
            if (file := Path(self.root) / name).is_file():
                return file
        raise VideoError(f"no scores: {Path(self.root) / file_name(video)} does not exist.")


def _read(
    file: Path,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    try:
        pairs = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=tuple)
        if not isinstance(pairs, tuple):
            raise TypeError("it is no mapping")
        scores = sorted((int(frame), _number(score)) for frame, score in pairs)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise VideoError(f"{file}: not a JSON mapping of frame numbers to scores: {error}") from error
    if not scores or scores[0][0] < 0 or scores[-1][0] >= _MOST:
        raise VideoError(f"{file}: holds no scores, or a negative frame number, or one of {_MOST} or more.")
    starts, values = zip(*scores, strict=True)
    if len(set(starts)) < len(starts):
        raise VideoError(f"{file}: a frame comes a second time.")
    return np.array(starts, dtype=np.int64), np.array(values, dtype=np.float64)


def _number(score: object) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float | str | None):
        raise TypeError(f"{score} is no score")
    return np.nan if score is None else float(score)
