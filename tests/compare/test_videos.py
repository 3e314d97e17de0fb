from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from run_folders import make

from vaa.compare.__main__ import main
from vaa.compare.videos import draw_scores, video_pairs
from vaa.errors import DataError
from vaa.evaluation.detection import within_video_auc
from vaa.report.runs import Run

SPANS = {"far": (20, 39), "near": (0, 9)}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    first = {"near": [0.5, 0.4, 0.3], "far": [0.1, 0.2, 0.9, 0.8, 0.1], "only": [0.3]}
    second = {"near": [0.5, 0.4, 0.2], "far": [0.1, 0.2, 0.3, 0.2, 0.2], "<i>": [0.3]}
    return make(tmp_path / "a", first, SPANS), make(tmp_path / "b", second, SPANS)


def test_the_video_with_the_largest_difference_comes_first(two: tuple[Path, Path]) -> None:
    first, second = (Run(folder) for folder in two)
    (far, near), left_out = video_pairs(first, second)
    assert (far.video, near.video, left_out) == ("far", "near", 2)
    assert far.mean_difference == pytest.approx((0.6 + 0.6 + 0.1) / 5)
    assert far.interval == (20, 40)
    assert near.interval == (20, 30)
    labels, scores = (values["far"] for values in (first.evaluation.labels, first.evaluation.scores))
    assert labels is not None
    assert scores is not None
    assert far.aucs[0] == within_video_auc([labels], [scores])
    assert far.aucs[1] < far.aucs[0]


def test_csv_has_the_numbers_and_html_both_curves(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [*map(str, two), "--videos", "--names", "x", "<b>"]
    assert main([*args, "--format", "csv"]) == 0
    far, _ = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert float(far["mean_difference"]) == pytest.approx(0.26)
    assert (float(far["max_a"]), float(far["max_b"]), far["from"], far["to"]) == (0.9, 0.3, "20", "40")
    assert float(far["auc_delta"]) == pytest.approx(float(far["auc_b"]) - float(far["auc_a"]))
    assert main([*args, "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count('<polyline class="a"') == page.count('<polyline class="b"') == 2
    assert page.count('<rect class="true"') == 2
    assert '<span class="key b">&#9644;</span> &lt;b&gt;' in page
    assert "<b>" not in page
    assert main([*args[:3], "1"]) == 0
    output = capsys.readouterr().out
    assert "far" in output
    assert "near" not in output
    assert "Left out: 2 videos" in output


def test_videos_of_different_lengths_are_refused(tmp_path: Path, two: tuple[Path, Path]) -> None:
    longer = make(tmp_path / "c", {"near": [0.5, 0.4, 0.3, 0.2]}, SPANS)
    with pytest.raises(DataError, match=r"near: 30 frames in .*, 40 in"):
        video_pairs(Run(two[0]), Run(longer))
    alone = make(tmp_path / "d", {"else": [0.5]}, {})
    with pytest.raises(DataError, match="no video has scores in both"):
        video_pairs(Run(two[0]), Run(alone))


def test_a_long_curve_shows_its_peaks_with_few_points() -> None:
    track = np.zeros(100_000)
    track[70_123] = 1.0
    svg = draw_scores(track, np.zeros(100_000), None)
    assert len(svg) < 20_000
    assert "701.2,0.0" in svg
