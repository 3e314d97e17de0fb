from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vaa.evaluation.evaluation import Evaluation, evaluate
from vaa.evaluation.protocol import Protocol
from vaa.frame_times import FrameTimes
from vaa.pipeline import RunResult
from vaa.report.plots import write_overview
from vaa.types import Dataset, GroundTruth, Report, ScoreTrack, Span, Video

LAVAD = Protocol(
    name="lavad",
    labels=None,
    end_inclusive=True,
    precision="float64",
    pad=0.0,
    smooth=0.0,
    transform="none",
    metrics={},
)


def evaluation(n: int, *, labelled: bool, scored: bool = True, fps: float = 30.0) -> Evaluation:
    videos = tuple(Video(f"v{k}", Path("v.mp4"), 40, fps) for k in range(n))
    track = ScoreTrack(np.linspace(0, 1, 40), np.arange(40)) if scored else None
    truths = {video.id: GroundTruth((Span(10, 21, "Fire"),), "Fire") for video in videos} if labelled else {}
    result = RunResult({video.id: Report(video, track=track) for video in videos})
    return evaluate(result=result, dataset=Dataset("set", videos, truths, []), protocol=LAVAD)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written."""
    written: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kwargs: (written.append(self), save(self, *args, **kwargs))
    )
    return written


@pytest.mark.parametrize(
    ("n", "labelled", "notices", "title"),
    [
        (1, True, [], "Scores over time: 1 video. Shaded: labelled anomalous"),
        (3, False, ["a notice " * 40], "Scores over time: 3 videos"),
        (14, True, [], "Scores over time: 12 of 14 videos, those with the highest scores. Shaded: labelled anomalous"),
    ],
)
def test_a_run_is_drawn_and_nothing_is_empty(
    tmp_path: Path, figures: list[Figure], n: int, labelled: bool, notices: list[str], title: str
) -> None:
    write_overview(tmp_path / "overview.png", evaluation(n, labelled=labelled, fps=2.0), notices)
    (figure,) = figures
    assert figure.subfigs[-1].get_suptitle() == title
    names = [axes.get_title() for axes in figure.axes]
    assert [name for name in names if name] == (["ROC", "precision-recall"] if labelled else [])
    assert all(axes.lines for axes in figure.axes)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()][:3] == ["0:00:00", "0:00:02", "0:00:04"]
    assert figure.axes[-1].get_xlim() == (0, 20)
    with Image.open(tmp_path / "overview.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 10


def test_times_of_a_varying_rate_are_on_the_axis(tmp_path: Path, figures: list[Figure]) -> None:
    run = evaluation(1, labelled=False)
    times = FrameTimes(np.concatenate([np.arange(20) / 10, 50 + np.arange(20) / 10]))
    report = replace(run.reports["v0"], video=replace(run.reports["v0"].video, times=times))
    write_overview(tmp_path / "overview.png", replace(run, reports={"v0": report}), [])
    assert figures[0].axes[-1].get_xlim() == (0, 52)


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
