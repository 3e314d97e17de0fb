from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runs_made import LAVAD, make, metrics, videos

from vaa.compare.comparison import Comparison, compare
from vaa.compare.measures import read
from vaa.errors import VaaError
from vaa.evaluation.detection import detection
from vaa.report.runs import Run
from vaa.types import Failure


def compared(*folders: Path, baseline: int = 0, names: tuple[str, ...] = (), times: int = 200) -> Comparison:
    runs = [Run(folder) for folder in folders]
    return compare(runs, baseline, names, [folder.name for folder in folders], times, 0)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """The same videos, the events raised by little and by much."""
    return make(tmp_path / "weak", *videos(0, gain=0.2)), make(tmp_path / "strong", *videos(0, gain=0.7))


def test_values_are_those_of_metrics_json_and_the_best_is_marked(two: tuple[Path, Path]) -> None:
    weak, strong = compared(*two).rows
    for row, folder in ((weak, two[0]), (strong, two[1])):
        for name in ("roc_auc", "ap", "within_video_auc"):
            assert abs(row.values[name] - metrics(folder)[name]) < 1e-12
    assert (weak.best, strong.best) == (frozenset(), {"roc_auc", "ap", "within_video_auc"})
    assert weak.deltas == {}
    delta = strong.deltas["roc_auc"]
    assert delta.value == strong.values["roc_auc"] - weak.values["roc_auc"]
    assert 0 < delta.low < delta.value < delta.high


def test_the_interval_is_of_pairs_as_the_naive_bootstrap_has_it(two: tuple[Path, Path]) -> None:
    weak, strong = (read(Run(folder)) for folder in two)
    ids = list(weak.labels)
    drawn = np.random.default_rng(0).multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=100)
    naive = []
    for row in drawn:
        taken = [video for video, often in zip(ids, row, strict=True) for _ in range(often)]
        found = [detection([r.labels[v] for v in taken], [r.scores[v] for v in taken]) for r in (weak, strong)]
        naive.append(found[1]["pr_auc"] - found[0]["pr_auc"])
    low, high = np.nanpercentile(naive, [2.5, 97.5])
    delta = compared(*two, times=100).rows[1].deltas["ap"]
    assert abs(delta.low - low) < 1e-12
    assert abs(delta.high - high) < 1e-12


def test_equal_runs_differ_by_nothing(tmp_path: Path) -> None:
    first, second = (make(tmp_path / name, *videos(0)) for name in "ab")
    delta = compared(first, second).rows[1].deltas["roc_auc"]
    assert (delta.value, delta.low, delta.high) == (0, 0, 0)


def test_another_baseline_turns_the_delta_round(two: tuple[Path, Path]) -> None:
    forth, back = compared(*two).rows[1], compared(*two, baseline=1).rows[0]
    assert back.deltas["ap"].value == -forth.deltas["ap"].value
    assert back.deltas["ap"].low == pytest.approx(-forth.deltas["ap"].high, abs=1e-12)


def test_only_shared_videos_count_and_the_others_are_told_of(tmp_path: Path) -> None:
    tracks, spans = videos(0)
    first = make(tmp_path / "all", tracks, spans)
    kept = dict(list(tracks.items())[:8])
    second = make(tmp_path / "some", kept, spans)
    found = compared(first, second)
    assert abs(found.rows[0].values["roc_auc"] - metrics(second)["roc_auc"]) < 1e-12
    assert "Over the 8 videos that all runs have (960 frames); left out: 4 of all, 0 of some." in found.notes
    third = make(tmp_path / "none", {"else": [0.1, 0.2]}, {"else": (0, 9)})
    with pytest.raises(VaaError, match="no video is in all"):
        compared(first, third)


def test_two_ways_of_counting_are_told_of_and_have_no_common_best(tmp_path: Path) -> None:
    first = make(tmp_path / "a", *videos(0))
    second = make(tmp_path / "b", *videos(0), protocol=replace(LAVAD, name="other", ap="average_precision"))
    found = compared(first, second)
    assert not found.rows[1].deltas["ap"].alike
    assert [row.best for row in found.rows] == [frozenset(), frozenset()]
    assert any("another way" in note for note in found.notes)
    assert found.rows[1].values["ap"] == pytest.approx(metrics(second)["average_precision"])
    tracks, spans = videos(0)
    other = make(tmp_path / "c", tracks, {**spans, "v00": (0, 9)})
    assert not compared(first, other).rows[1].deltas["ap"].alike


def test_a_run_that_is_not_whole_is_marked(tmp_path: Path, two: tuple[Path, Path]) -> None:
    broken = make(tmp_path / "broken", *videos(0), failures=[Failure("x", "data", "cannot be read")])
    found = compared(two[0], broken)
    assert found.rows[1].marks == ("not whole: 1 videos failed",)
    assert "broken: not whole: 1 videos failed." in found.notes


def test_other_metrics_are_shown_as_counted_without_an_interval(two: tuple[Path, Path]) -> None:
    for folder, value in zip(two, (0.2, 0.3), strict=True):
        (folder / "metrics.json").write_text(json.dumps(metrics(folder) | {"bleu_1": value}))
    strong = compared(*two, names=("bleu_1",)).rows[1]
    assert strong.deltas["bleu_1"].value == pytest.approx(0.1)
    assert math.isnan(strong.deltas["bleu_1"].low)
    assert strong.best == {"bleu_1"}


def test_numbers_that_are_not_the_files_are_told_of(two: tuple[Path, Path]) -> None:
    (two[1] / "metrics.json").write_text(json.dumps(metrics(two[1]) | {"roc_auc": 0.999}))
    assert any("metrics.json 0.999000" in note for note in compared(*two).notes)


def test_resamples_that_say_nothing_are_counted(tmp_path: Path) -> None:
    first, second = (make(tmp_path / name, *videos(k, count=3)) for k, name in enumerate("ab"))
    found = compared(first, second, times=100)
    undefined = found.rows[1].deltas["roc_auc"].undefined
    assert 10 < undefined < 60  # a third of the videos has an event: (2/3)^3 of the draws have none
    assert f"{undefined} resamples had frames of one class only and say nothing." in found.notes


def test_boxes_are_resampled_too(two: tuple[Path, Path]) -> None:
    for shift, folder in enumerate(two):
        truth = json.loads((folder / "truth.json").read_text())
        for k, (video, known) in enumerate(truth["videos"].items()):
            known["boxes"] = [[frame, 0, 0, 10, 10] for frame in range(k % 3)]
            report = json.loads((folder / "reports" / f"{video}.json").read_text())
            found = [{"frame": f, "xyxy": [0, 0, 10, 10 - k % 4 * (1 - shift)], "score": 0.9} for f in range(k % 3)]
            report["stages"]["locate"] = {"boxes": found}
            (folder / "reports" / f"{video}.json").write_text(json.dumps(report))
        (folder / "truth.json").write_text(json.dumps(truth))
        (folder / "metrics.json").write_text(json.dumps(metrics(folder) | {"tiou": 0.5, "tiou_per_video": 0.5}))
    weak, strong = compared(*two, names=("tiou", "tiou_per_video")).rows
    ious = {video: [1 - video % 4 / 10] * (video % 3) for video in range(12)}
    assert weak.values["tiou"] == pytest.approx(np.mean([value for each in ious.values() for value in each]))
    assert weak.values["tiou_per_video"] == pytest.approx(np.mean([np.mean(each) for each in ious.values() if each]))
    assert strong.values["tiou"] == pytest.approx(1)
    assert 0 < strong.deltas["tiou"].low < strong.deltas["tiou"].value < strong.deltas["tiou"].high


def test_what_cannot_be_compared_is_said(tmp_path: Path, two: tuple[Path, Path]) -> None:
    with pytest.raises(VaaError, match=r"--metric aoc: no such metric.*roc_auc"):
        compared(*two, names=("aoc",))
    (two[1] / "truth.json").write_text("{")
    with pytest.raises(VaaError, match=r"truth\.json"):
        compared(*two)
    (two[1] / "truth.json").write_text(json.dumps({"data": "ours", "protocol": {"name": "x"}, "videos": {"v00": {}}}))
    with pytest.raises(VaaError, match="damaged"):
        compared(*two)
    no_labels = make(tmp_path / "own", {"v": [0.5]}, {})
    truth = json.loads((no_labels / "truth.json").read_text()) | {"videos": {}}
    (no_labels / "truth.json").write_text(json.dumps(truth))
    with pytest.raises(VaaError, match="no labels"):
        compared(two[0], no_labels)
