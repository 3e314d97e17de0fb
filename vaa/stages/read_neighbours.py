"""LAVAD's refined scores from its files: the scores of each window's neighbours, and how similar these are."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from vaa.data.base import known_names
from vaa.errors import ConfigError, VideoError
from vaa.stages.base import WHOLE_VIDEO, Scope
from vaa.types import Report, ScoreTrack, file_name, local_path


@dataclass(frozen=True, kw_only=True)
class ReadNeighbourScores:
    """Read the scores of each window's neighbours and average them, weighted by the softmax of their similarities.

    `root` and `similarity` are folders with `VIDEO.json`, frame number -> {neighbour -> score, or similarity}: LAVAD's
    `scores/refined/...` and `similarity/clean_summary/...` (`src/eval.py` there averages in the same way).
    """

    scope: ClassVar[Scope] = WHOLE_VIDEO

    root: str
    similarity: str

    def __post_init__(self) -> None:
        for name, folder in (("root", self.root), ("similarity", self.similarity)):
            if not local_path(folder).is_dir():
                raise ConfigError(f"scores.{name}={folder}: no such folder.")

    def __call__(self, report: Report) -> Report:
        """The report with the track of its video.

        Raises:
            VideoError: a file is missing or in another layout, or the two do not belong together.
        """
        starts, scores = _read(local_path(self.root), report.video.id)
        others, similarities = _read(local_path(self.similarity), report.video.id)
        if scores.shape != similarities.shape or (starts != others).any():
            raise VideoError(f"{self.root} and {self.similarity} have other windows or neighbours of this video.")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise VideoError(f"{self.root}: has a score of this video that is not in [0, 1].")
        values = (softmax(similarities, axis=1) * scores).sum(axis=1)
        order = np.argsort(starts)
        return replace(report, track=ScoreTrack(values[order], starts[order]), n_answers=report.n_answers + len(values))


def _read(folder: Path, video: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frame numbers (n,) and the numbers of their neighbours (n, k), as they are in the file."""
    file = next((file for name in known_names(video) if (file := folder / file_name(name)).is_file()), None)
    if file is None:
        raise VideoError(f"no scores: {folder / file_name(video)} does not exist.")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        starts = np.array([int(frame) for frame in content], dtype=np.int64)
        rows = [[neighbours[name] for name in sorted(neighbours, key=int)] for neighbours in content.values()]
        values = np.array(rows, dtype=np.float64)
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise VideoError(f"{file}: expected frame -> neighbour -> number, as LAVAD writes it: {error}") from error
    if values.ndim != 2 or not np.isfinite(values).all() or len(set(starts.tolist())) < len(starts) or min(starts) < 0:
        raise VideoError(f"{file}: expected as many finite numbers for every frame, and each frame once.")
    return starts, values
