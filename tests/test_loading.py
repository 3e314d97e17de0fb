"""vaa.load_run and load_runs: tables and arrays of finished runs."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from run_folders import make

import vaa
from vaa.errors import ConfigError, DataError
from vaa.types import Failure

TRACKS = {"a": [0.1, 0.9, 0.2], "b/c": [0.3, 0.4, 0.35]}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two runs that differ in one number; the first has an alert, the second a video that failed."""
    for name, sigma, gain in (("2", 2, 0.0), ("10", 10, 0.05)):
        tracks = {video: [value + gain for value in values] for video, values in TRACKS.items()}
        failures = [Failure("broken", "data", "no video")] if gain else []
        config = {"smoothing": {"sigma": sigma, "step": sigma / 4}}
        make(tmp_path / name, tracks, {"a": (10, 19)}, config=config, failures=failures,
             choices={"smoothing": "gaussian9"}, overrides=[f"smoothing.sigma={sigma}"])  # fmt: skip
    alert = {"video": "a", "start_seconds": 1.0, "stop_seconds": 2.0, "highest": 0.9}
    (tmp_path / "2/alerts.json").write_text(json.dumps({"threshold": 0.5, "alerts": [alert]}))
    return tmp_path


def test_a_run_has_tables_of_its_videos_segments_and_alerts_and_arrays_of_scores(sweep: Path) -> None:
    run = vaa.load_run(sweep / "2")
    assert (run.name, run.stages) == ("2", ("read",))
    assert run.metrics["roc_auc"] == run.run.metrics["roc_auc"]
    assert dict(run.scores) == {"a": pytest.approx(np.repeat(TRACKS["a"], 10)),
                                "b/c": pytest.approx(np.repeat(TRACKS["b/c"], 10))}  # fmt: skip
    np.testing.assert_array_equal(np.flatnonzero(run.labels["a"]), np.arange(10, 20))
    np.testing.assert_array_equal(run.track("b/c", "read"), run.scores["b/c"])
    videos = run.videos.set_index("video")
    assert videos["max_score"].to_dict() == {"a": 0.9, "b/c": 0.4}
    assert videos.loc["a", "auc"] == 1.0
    assert run.alerts["highest"].tolist() == [0.9]
    for wrong in (("nowhere",), ("a", "refine")):
        with pytest.raises(ConfigError, match=wrong[-1]):
            run.track(*wrong)


def test_what_is_not_defined_is_nan_and_a_video_without_scores_has_no_array(sweep: Path) -> None:
    for file, change in (("metrics.json", {"tiou": None}), ("reports/a.json", {"stages": {"read": {}}})):
        content = json.loads((sweep / "2" / file).read_text())
        (sweep / "2" / file).write_text(json.dumps(content | change))
    run = vaa.load_run(sweep / "2")
    assert math.isnan(run.metrics["tiou"])
    assert list(run.scores) == ["b/c"]


def test_runs_are_one_table_with_what_differs_and_the_metrics(sweep: Path) -> None:
    runs = vaa.load_runs(sweep)
    assert [run.name for run in runs] == ["2", "10"]
    table = runs.runs
    assert table["smoothing.sigma"].to_dict() == {"2": 2, "10": 10}
    assert table["smoothing.step"].to_dict() == {"2": 0.5, "10": 2.5}
    assert table["roc_auc"].tolist() == [run.metrics["roc_auc"] for run in runs]
    assert table["folder"].tolist() == [str(sweep / "2"), str(sweep / "10")]
    assert runs["10"].folder == sweep / "10"
    assert [run.name for run in runs[1:]] == ["10"]
    assert runs.alerts["run"].tolist() == ["2"]
    videos = runs.videos
    assert list(videos.columns[:2]) == ["run", "video"]
    assert sorted(zip(videos["run"], videos["video"], strict=True)) == [
        *(("10", "a"), ("10", "b/c"), ("10", "broken")), *(("2", "a"), ("2", "b/c"))
    ]  # fmt: skip
    assert videos.set_index(["run", "video"]).loc[("10", "broken"), "failed"] == "data: no video"
    assert len(runs.segments) == 0


def test_patterns_choose_folders_and_what_is_not_a_finished_run_is_named(
    sweep: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (sweep / "3/.hydra").mkdir(parents=True)
    (sweep / "3/.hydra/config.yaml").touch()
    assert [run.folder.name for run in vaa.load_runs(f"{sweep}/?")] == ["2"]
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "vaa"):
        assert len(vaa.load_runs([sweep, sweep / "2"])) == 2
    assert str(sweep / "3") in caplog.text
    for load, folder in ((vaa.load_run, sweep), (vaa.load_run, sweep / "3"), (vaa.load_runs, f"{sweep}/x*"),
                         (vaa.load_runs, []), (vaa.load_runs, sweep / "3")):  # fmt: skip
        with pytest.raises(DataError):
            load(folder)  # type: ignore[operator]
