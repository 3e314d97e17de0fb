from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaa.evaluation.evaluation import Evaluation, evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report.plots import write_overview
from vaa.types import Dataset, GroundTruth, Report, ScoreTrack, Span, Video

LAVAD = Protocol(name="lavad", labels=None, end_inclusive=True, precision="float64", pad=0.0)


def evaluation(n: int, *, labelled: bool, scored: bool = True) -> Evaluation:
    videos = tuple(Video(f"v{k}", Path("v.mp4"), 40, 30.0) for k in range(n))
    track = ScoreTrack(np.linspace(0, 1, 40), np.arange(40)) if scored else None
    truths = {video.id: GroundTruth((Span(10, 20, "Fire"),), "Fire") for video in videos} if labelled else {}
    result = RunResult({video.id: Report(video, track=track) for video in videos})
    return evaluate(result=result, dataset=Dataset("set", videos, truths, []), protocol=LAVAD)


@pytest.mark.parametrize(("n", "labelled", "notices"), [(1, True, []), (3, False, ["a notice " * 40]), (12, True, [])])
def test_a_run_is_drawn(tmp_path: Path, n: int, labelled: bool, notices: list[str]) -> None:
    write_overview(tmp_path / "overview.png", evaluation(n, labelled=labelled), notices)
    with Image.open(tmp_path / "overview.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 10


def test_anomalous_frames_are_shaded(tmp_path: Path) -> None:
    shaded = []
    for labelled in (False, True):
        write_overview(tmp_path / "overview.png", evaluation(1, labelled=labelled), [])
        with Image.open(tmp_path / "overview.png") as picture:
            red, green, _ = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=int), -1, 0)
        shaded.append(int(((red - green > 20) & (red > 200)).sum()))
    assert shaded[0] == 0
    assert shaded[1] > 100


def test_without_scores_there_is_no_picture(tmp_path: Path) -> None:
    write_overview(tmp_path / "overview.png", evaluation(2, labelled=True, scored=False), [])
    assert list(tmp_path.iterdir()) == []
