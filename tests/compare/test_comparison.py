from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_folders import LAVAD, make, metrics, videos

from vaa.compare.comparison import Comparison, compare
from vaa.compare.measures import read_scores
from vaa.errors import ConfigError, DataError, VaaError
from vaa.evaluation.detection import detection
from vaa.report.runs import Run
from vaa.types import Failure


def compare_folders(*folders: Path, baseline: int = 0, names: tuple[str, ...] = (), times: int = 200) -> Comparison:
    runs = [Run(folder) for folder in folders]
    return compare(runs, baseline, names, [folder.name for folder in folders], times, 0)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs over the same videos; events raise the scores by little and by much."""
    return make(tmp_path / "weak", *videos(0, gain=0.2)), make(tmp_path / "strong", *videos(0, gain=0.7))


def test_values_equal_metrics_json_and_the_best_is_marked(two: tuple[Path, Path]) -> None:
    weak, strong = compare_folders(*two).rows
    for row, folder in ((weak, two[0]), (strong, two[1])):
        for name in ("roc_auc", "pr_auc", "within_video_auc"):
            assert abs(row.values[name] - metrics(folder)[name]) < 1e-12
    assert (weak.best, strong.best) == (frozenset(), {"roc_auc", "pr_auc", "within_video_auc"})
    assert weak.deltas == {}
    delta = strong.deltas["roc_auc"]
    assert delta.value == strong.values["roc_auc"] - weak.values["roc_auc"]
    assert 0 < delta.low < delta.value < delta.high


def test_the_interval_is_that_of_a_naive_paired_bootstrap(two: tuple[Path, Path]) -> None:
    weak, strong = (read_scores(Run(folder)) for folder in two)
    ids = list(weak.labels)
    drawn = np.random.default_rng(0).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=100)
    naive = []
    for row in drawn:
        sample = [video for video, count in zip(ids, row, strict=True) for _ in range(count)]
        results = [detection([r.labels[v] for v in sample], [r.scores[v] for v in sample]) for r in (weak, strong)]
        naive.append(results[1]["pr_auc"] - results[0]["pr_auc"])
    low, high = np.nanpercentile(naive, [2.5, 97.5])
    delta = compare_folders(*two, times=100).rows[1].deltas["pr_auc"]
    assert abs(delta.low - low) < 1e-12
    assert abs(delta.high - high) < 1e-12


def test_equal_runs_have_zero_deltas(tmp_path: Path) -> None:
    first, second = (make(tmp_path / name, *videos(0)) for name in "ab")
    delta = compare_folders(first, second).rows[1].deltas["roc_auc"]
    assert (delta.value, delta.low, delta.high) == (0, 0, 0)


def test_another_baseline_reverses_the_delta(two: tuple[Path, Path]) -> None:
    first, second = compare_folders(*two).rows[1], compare_folders(*two, baseline=1).rows[0]
    assert second.deltas["pr_auc"].value == -first.deltas["pr_auc"].value
    assert second.deltas["pr_auc"].low == pytest.approx(-first.deltas["pr_auc"].high, abs=1e-12)


def test_only_shared_videos_are_compared_and_the_others_are_reported(tmp_path: Path) -> None:
    tracks, spans = videos(0)
    first = make(tmp_path / "all", tracks, spans)
    second = make(tmp_path / "some", dict(list(tracks.items())[:8]), spans)
    comparison = compare_folders(first, second)
    assert abs(comparison.rows[0].values["roc_auc"] - metrics(second)["roc_auc"]) < 1e-12
    assert "Over the 8 videos that all runs have (960 frames); left out: 4 of all, 0 of some." in comparison.notes
    third = make(tmp_path / "none", {"else": [0.1, 0.2]}, {"else": (0, 9)})
    with pytest.raises(DataError, match="no video is in all"):
        compare_folders(first, third)


def test_runs_by_different_protocols_are_marked_and_not_ranked(tmp_path: Path) -> None:
    first = make(tmp_path / "a", *videos(0))
    second = make(tmp_path / "b", *videos(0), protocol=replace(LAVAD, name="other"))
    comparison = compare_folders(first, second)
    assert not comparison.rows[1].deltas["pr_auc"].same_protocol
    assert [row.best for row in comparison.rows] == [frozenset(), frozenset()]
    assert any("another protocol" in note for note in comparison.notes)
    assert comparison.rows[1].values["pr_auc"] == pytest.approx(metrics(second)["pr_auc"])
    tracks, spans = videos(0)
    other = make(tmp_path / "c", tracks, {**spans, "v00": (0, 9)})
    assert not compare_folders(first, other).rows[1].deltas["pr_auc"].same_protocol


def test_an_incomplete_run_has_a_warning(tmp_path: Path, two: tuple[Path, Path]) -> None:
    broken = make(tmp_path / "broken", *videos(0), failures=[Failure("x", "data", "cannot be read")])
    comparison = compare_folders(two[0], broken)
    assert comparison.rows[1].warnings == ("incomplete: 1 videos failed",)
    assert "broken: incomplete: 1 videos failed." in comparison.notes


@pytest.mark.parametrize(
    ("name", "best"), [("bleu_1", 1), ("judge_unparsed", 0), ("unparsed", 0), ("threshold_f1", None)]
)
def test_other_metrics_come_from_metrics_json_without_an_interval(
    two: tuple[Path, Path], name: str, best: int | None
) -> None:
    for folder, value in zip(two, (0.2, 0.3), strict=True):
        (folder / "metrics.json").write_text(json.dumps(metrics(folder) | {name: value}))
    rows = compare_folders(*two, names=(name,)).rows
    assert rows[1].deltas[name].value == pytest.approx(0.1)
    assert math.isnan(rows[1].deltas[name].low)
    assert [row.best for row in rows] == [{name} if k == best else set() for k in range(2)]


def test_numbers_that_differ_from_metrics_json_are_reported(two: tuple[Path, Path]) -> None:
    (two[1] / "metrics.json").write_text(json.dumps(metrics(two[1]) | {"roc_auc": 0.999}))
    assert any("metrics.json 0.999000" in note for note in compare_folders(*two).notes)


def test_undefined_resamples_are_counted(tmp_path: Path) -> None:
    first, second = (make(tmp_path / name, *videos(k, count=3)) for k, name in enumerate("ab"))
    comparison = compare_folders(first, second, times=100)
    undefined = comparison.rows[1].deltas["roc_auc"].undefined
    assert 10 < undefined < 60  # a third of the videos has an event: (2/3)^3 of the draws have none
    assert any(note.startswith(f"{undefined} resamples have frames of one class only") for note in comparison.notes)


def test_box_metrics_are_resampled(two: tuple[Path, Path]) -> None:
    for shift, folder in enumerate(two):
        truth = json.loads((folder / "truth.json").read_text())
        for k, (video, saved) in enumerate(truth["videos"].items()):
            saved["boxes"] = [[frame, 0, 0, 10, 10] for frame in range(k % 3)]
            report = json.loads((folder / "reports" / f"{video}.json").read_text())
            boxes = [{"frame": f, "xyxy": [0, 0, 10, 10 - k % 4 * (1 - shift)], "score": 0.9} for f in range(k % 3)]
            report["stages"]["locate"] = {"boxes": boxes}
            (folder / "reports" / f"{video}.json").write_text(json.dumps(report))
        (folder / "truth.json").write_text(json.dumps(truth))
        (folder / "metrics.json").write_text(json.dumps(metrics(folder) | {"tiou": 0.5, "tiou_per_video": 0.5}))
    weak, strong = compare_folders(*two, names=("tiou", "tiou_per_video")).rows
    ious = {video: [1 - video % 4 / 10] * (video % 3) for video in range(12)}
    assert weak.values["tiou"] == pytest.approx(np.mean([value for each in ious.values() for value in each]))
    assert weak.values["tiou_per_video"] == pytest.approx(np.mean([np.mean(each) for each in ious.values() if each]))
    assert strong.values["tiou"] == pytest.approx(1)
    assert 0 < strong.deltas["tiou"].low < strong.deltas["tiou"].value < strong.deltas["tiou"].high


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, two: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"--metric aoc.*roc_auc"):
        compare_folders(*two, names=("aoc",))
    (two[1] / "truth.json").write_text("{")
    with pytest.raises(VaaError, match=r"truth\.json"):
        compare_folders(*two)
    (two[1] / "truth.json").write_text(json.dumps({"data": "ours", "protocol": {"name": "x"}, "videos": {"v00": {}}}))
    with pytest.raises(DataError, match="damaged"):
        compare_folders(*two)
    no_labels = make(tmp_path / "own", {"v": [0.5]}, {})
    truth = json.loads((no_labels / "truth.json").read_text()) | {"videos": {}}
    (no_labels / "truth.json").write_text(json.dumps(truth))
    with pytest.raises(DataError, match="no video has labels"):
        compare_folders(two[0], no_labels)
