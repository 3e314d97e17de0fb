from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vaa.errors import ConfigError, VideoError
from vaa.stages.read_neighbours import ReadNeighbourScores
from vaa.types import Report, Video

REPORT = Report(Video("v__#1", Path("v.mp4"), 64, 30.0))


def write(folder: Path, scores: object, similarities: object, name: str = "v__#1.json") -> ReadNeighbourScores:
    for kind, content in (("scores", scores), ("similarity", similarities)):
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return ReadNeighbourScores(root=str(folder / "scores"), similarity=str(folder / "similarity"))


def test_neighbours_are_averaged_as_lavads_evaluation_does(tmp_path: Path) -> None:
    """200 windows of ten neighbours, frames and neighbours in any order."""
    rng = np.random.default_rng(0)
    scores = {str(16 * k): {str(n): float(x) for n, x in enumerate(rng.random(10))} for k in rng.permutation(200)}
    similarities = {at: {n: float(rng.normal()) for n in reversed(row)} for at, row in scores.items()}
    track = write(tmp_path, scores, similarities, "v__1.json")(REPORT).track
    assert track is not None
    assert track.starts.tolist() == [16 * k for k in range(200)]
    for at, value in zip(track.starts.tolist(), track.values.tolist(), strict=True):
        weights = {n: math.exp(similarity) for n, similarity in similarities[str(at)].items()}
        expected = sum(weights[n] * score for n, score in scores[str(at)].items()) / sum(weights.values())
        assert value == pytest.approx(expected, abs=1e-12)


GOOD = {"0": {"0": 0.5, "1": 0.2}}


@pytest.mark.parametrize(
    ("scores", "similarities", "message"),
    [
        (GOOD, {"0": {"0": 1.0}}, "other windows or neighbours"),
        (GOOD, {"16": {"0": 1.0, "1": 0.0}}, "other windows or neighbours"),
        ({"0": {"0": 0.5, "1": 1.2}}, GOOD, "not in"),
        ({"0": 0.5}, GOOD, "expected frame -> neighbour -> number"),
        ({"0": {"0": 0.5}, "16": {"0": 0.5, "1": 0.1}}, GOOD, "expected frame -> neighbour -> number"),
        ({"0": {"0": None}}, GOOD, "finite"),
        ("{half a fi", GOOD, "expected frame"),
        ({}, GOOD, "expected"),
    ],
)
def test_files_with_another_layout_are_named_failures(
    tmp_path: Path, scores: object, similarities: object, message: str
) -> None:
    with pytest.raises(VideoError, match=message):
        write(tmp_path, scores, similarities)(REPORT)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"w\.json does not exist"):
        write(tmp_path, GOOD, GOOD)(Report(Video("w", Path("w.mp4"), 64, 30.0)))
    with pytest.raises(ConfigError, match=r"scores\.similarity=.*: no such folder"):
        ReadNeighbourScores(root=str(tmp_path), similarity=str(tmp_path / "nowhere"))
