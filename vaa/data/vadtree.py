"""VADTree's score files: one JSON file of all videos, `{"vid_score": {"VIDEO.mp4": scores}}`; other keys are ignored.

The scores of a video are a list with one per frame (`ensemble`), or a mapping of tree nodes "first, last" to a score or
to a list that begins with it (`raw`: score, text; `refined`: refined score, raw score, text).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaa.data.base import video_id
from vaa.errors import DataError, VideoError

_NODE = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*")


@dataclass(frozen=True, kw_only=True)
class NodeScores:
    """Scores of a video: `values[i]` begins at frame `starts[i]`, the last one ends before frame `stop`."""

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    stop: int


def read_score_file(file: Path) -> Mapping[str, Any]:
    """Video id -> its scores as they are in the file, for `parse_scores`.

    Raises:
        DataError: the file is not in this layout, or has a video twice.
    """
    stat = file.stat()
    return _read_score_file(file, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=4)
def _read_score_file(file: Path, _state: tuple[int, int]) -> Mapping[str, Any]:
    """Read once for all videos and all jobs of a multirun, unless the file changes."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
        videos = content["vid_score"].items()
        return _unique([(video_id(name), scores) for name, scores in videos])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f'{file}: expected a JSON file {{"vid_score": {{video: scores}}}} (VADTree), or give a folder of one file '
            f"per video: {error!r}"
        ) from error


def parse_scores(scores: object, place: str, field: str = "refined") -> NodeScores:
    """The scores of one video, ordered by frame; None and NaN become NaN. `place` is named in errors.

    `field`: which score of a node is taken where it has two, refined or raw.

    Raises:
        VideoError: there are none, they are in another layout, or the nodes do not follow one another.
    """
    if not isinstance(scores, list | dict) or not scores:
        raise VideoError(f"{place}: expected a list of scores or a mapping of nodes to scores, not {scores!r:.80}.")
    if isinstance(scores, list):
        return NodeScores(
            starts=np.arange(len(scores)),
            values=np.array([_parse_score(score, f"{place}, frame {k}") for k, score in enumerate(scores)]),
            stop=len(scores),
        )
    nodes = []
    for name, entry in scores.items():
        match = _NODE.fullmatch(name)
        if match is None or int(match[2]) < int(match[1]):
            raise VideoError(f"{place}: {name!r} is not a node 'first, last'.")
        score = _of_node(entry, field)
        nodes.append((int(match[1]), int(match[2]), _parse_score(score, f"{place}, node {name}")))
    nodes.sort()
    for (_, last, _), (first, _, _) in pairwise(nodes):
        if not last <= first <= last + 1:
            raise VideoError(f"{place}: the node after frame {last} begins at frame {first}.")
    starts, values = [first for first, _, _ in nodes], [score for _, _, score in nodes]
    return NodeScores(
        starts=np.array(starts, dtype=np.int64), values=np.array(values, dtype=np.float64), stop=nodes[-1][1] + 1
    )


def _of_node(entry: object, field: str) -> object:
    """A score alone, or from [score, text] or [refined, raw, text]."""
    if not isinstance(entry, list) or not entry:
        return entry
    return entry[1] if field == "raw" and len(entry) > 2 else entry[0]


def _parse_score(score: object, place: str) -> float:
    if score is None:
        return np.nan
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise VideoError(f"{place}: {score!r:.80} is not a score.")
    return float(score)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return mapping
