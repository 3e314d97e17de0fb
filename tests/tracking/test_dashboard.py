"""Tables, curves, pictures and artifacts of a W&B run, read back from its offline file."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import auc
from wandb_example import example, example_videos
from wandb_log import read_back

from vaa.evaluation.evaluation import Evaluation
from vaa.evaluation.roc import thin_curve
from vaa.pipeline import RunResult
from vaa.report import files
from vaa.tracking import tables
from vaa.tracking.run import Tracking
from vaa.tracking.service import log_errors

TRACKING = Tracking(
    mode="offline",
    project="vaa-tests",
    entity=None,
    group=None,
    name="by hand",
    tags=[],
    pictures=2,
    segments=5,
    artifacts=True,
    timeout=300.0,
)
METRICS = {"roc_auc": 0.75, "videos": 3, "failed": 1, "cider": float("nan")}


def logged(folder: Path, evaluation: Evaluation, tracking: Tracking = TRACKING) -> dict[str, Any]:
    """The content of the offline run that an evaluation leaves."""
    folder.mkdir()
    result = RunResult(dict(evaluation.reports), dict(evaluation.history), list(evaluation.failures))
    files.write_results(folder, result, [])
    files.write_metrics(folder, "lavad", METRICS)
    videos = example_videos(evaluation.reports["calm"].video.path)
    with tracking.run({"method": "corevad"}, folder) as tracked:
        tracked.log(metrics=METRICS, notices=["a notice"], evaluation=evaluation, videos=videos, decoder="decord")
    (run,) = read_back(folder)
    return run


def pixels(cell: dict[str, Any]) -> Any:
    with Image.open(cell["file"]) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by_hand")


@pytest.fixture(scope="module")
def evaluation(folder: Path, _clip: Path) -> Evaluation:
    return example(_clip)


@pytest.fixture(scope="module")
def run(folder: Path, evaluation: Evaluation) -> dict[str, Any]:
    return logged(folder / "run", evaluation)


def test_metrics_are_in_the_summary(run: dict[str, Any]) -> None:
    assert run["summary"]["roc_auc"] == 0.75
    assert run["summary"]["seconds/query"] == 1.5
    assert run["summary"]["notices"] == ["a notice"]
    assert run["summary"]["failures"] == ["lost (query): no such video file"]
    # .9 is above all other frames of calm and fight, .3 above fire's ten other frames and below calm's twenty.
    assert run["summary"]["class_auc/Fighting"] == 1
    assert run["summary"]["class_auc/Fire"] == run["summary"]["class_auc/Riot"] == pytest.approx(1 / 3)
    assert run["exit"] == 0


def test_the_table_of_classes(run: dict[str, Any]) -> None:
    rows = {row["class"]: row for row in run["tables"]["classes"]}
    assert list(rows) == ["Fighting", "Fire", "Riot"]
    assert {**rows["Fire"], "roc_auc": 0} == {
        "class": "Fire",
        "videos": 1,
        "frames": 20,
        "anomalous_share": 0.5,
        "roc_auc": 0,
        "within_video_auc": 1,
    }
    assert rows["Fire"]["roc_auc"] == pytest.approx(1 / 3)


def test_the_curves_are_those_of_all_frames(run: dict[str, Any]) -> None:
    roc = [(row["false_positive_rate"], row["true_positive_rate"]) for row in run["curves"]["roc_table"]]
    assert auc(*zip(*roc, strict=True)) == pytest.approx(0.75)
    assert {row["class"] for row in run["curves"]["roc_table"]} == {"by hand"}
    pr = [(row["recall"], row["precision"]) for row in run["curves"]["pr_table"]]
    assert {(1.0, 0.5), (0.5, 1.0)} <= set(pr)  # all frames above .2: 20 of 40 are anomalous; above .4: ten of ten
    for key, x in (("curves/roc", "false_positive_rate"), ("curves/pr", "recall")):
        panel = run["panels"][key]
        assert panel["panelDefId"] == "wandb/area-under-curve/v0"
        assert panel["fieldSettings"]["x"] == x
        assert panel["userQuery"]["queryFields"][0]["fields"][3]["args"][0]["value"] == f"{key}_table"


def test_the_table_of_videos(run: dict[str, Any]) -> None:
    fight, calm, fire, lost = run["tables"]["videos"]
    assert [row["video"] for row in (fight, calm, fire, lost)] == ["fight", "calm", "fire", "lost"]
    shown = {key: value for key, value in fight.items() if key not in ("scores", "peak")}
    assert shown == {
        "video": "fight",
        "class": "Fighting",
        "frames": 20,
        "seconds": 2,
        "anomalous_share": 0.5,
        "auc": 1,
        "max_score": 0.9,
        "error": 0,
        "peak_frame": 14,
        "peak_second": 1.4,
        "text": "a room",
        "tags": "fighting",
        "summary": "A fight breaks out.",
        "gated": None,
        "failed": None,
    }
    assert (calm["auc"], calm["max_score"], fire["error"], calm["error"]) == (None, 0.4, 0, 0.4)
    assert fire["scores"] is fire["peak"] is None  # wandb.pictures=2
    assert (lost["failed"], lost["class"], lost["frames"]) == ("query: no such video file", "Normal", 20)
    assert (lost["max_score"], lost["scores"]) == (None, None)


def test_the_most_suspicious_moment_is_a_picture_with_boxes(run: dict[str, Any]) -> None:
    fight, calm, *_ = run["tables"]["videos"]
    assert pixels(fight["peak"]).shape == (64, 96, 3)
    assert fight["peak"]["caption"] == "fight, frame 12"  # the frame with a box that is nearest to frame 14
    (box,) = fight["peak"]["boxes"]["predicted"]
    assert box["position"] == {"minX": 8 / 96, "minY": 8 / 64, "maxX": 48 / 96, "maxY": 32 / 64}
    assert (box["box_caption"], box["scores"]) == ("fighting", {"score": 0.75})
    (true,) = fight["peak"]["boxes"]["annotated"]
    assert true["position"]["maxX"] == 40 / 96
    assert calm["peak"]["caption"] == "calm, frame 9"
    assert not calm["peak"].get("boxes")


def test_a_score_plot_has_its_label_strip(run: dict[str, Any]) -> None:
    fight, calm, *_ = run["tables"]["videos"]
    fight, calm = pixels(fight["scores"]), pixels(calm["scores"])
    assert fight.shape == (120, 480, 3)
    left, right = fight[110, 60].astype(int), fight[110, 440].astype(int)
    assert left.min() > 200  # a normal frame
    assert right[0] - right[1] > 100  # an anomalous one is red
    assert (calm[110, 60] == fight[110, 60]).all()
    assert (calm[110, 440] == fight[110, 60]).all()


def test_the_table_of_segments_shows_what_each_stage_changed(run: dict[str, Any]) -> None:
    rows = run["tables"]["segments"]
    assert len(rows) == 5  # wandb.segments, of 6; the last of fire is left out
    assert [(row["video"], row["frame"]) for row in rows[:3]] == [("fight", 0), ("fight", 10), ("calm", 0)]
    assert list(rows[0])[:5] == ["video", "class", "frame", "start", "stop"]
    assert list(rows[0])[5:9] == ["second", "anomalous_share", "text", "score"]
    assert list(rows[0])[9:] == ["query text", "query score", "clean text", "clean score", "smooth score"]
    second = rows[1]
    assert (second["query text"], second["query score"]) == ("they fight", 1)
    assert (second["clean text"], second["clean score"]) == ("a room", 0.1)
    assert (second["smooth score"], second["score"], second["text"]) == (0.9, 0.9, "a room")
    assert (second["anomalous_share"], second["second"], second["class"]) == (1, 1, "Fighting")
    assert (rows[0]["clean text"], rows[0]["clean score"], rows[0]["smooth score"]) == (None, None, None)


def test_data_answers_and_scores_are_artifacts_that_name_each_other(run: dict[str, Any], folder: Path) -> None:
    data, answers, scores = run["artifacts"]
    assert (data["name"], data["type"], data["used"]) == ("data-by-hand", "dataset", True)
    assert (answers["name"], answers["type"], answers["used"]) == ("answers-corevad-by-hand", "answers", False)
    assert (scores["name"], scores["type"], scores["used"]) == ("scores-corevad-by-hand", "scores", False)
    assert answers["metadata"] == {"data": data["name"], "data_digest": data["digest"]}
    assert scores["metadata"] == {
        **answers["metadata"],
        "answers": answers["name"],
        "answers_digest": answers["digest"],
        "metrics": {**METRICS, "cider": None},
    }
    videos = [json.loads(line) for line in data["files"]["videos.jsonl"].read_text().splitlines()]
    assert [video["id"] for video in videos] == ["calm", "fight", "fire", "lost"]
    assert videos[1] == {
        "id": "fight",
        "frames": 20,
        "fps": 10,
        "class": "Fighting",
        "intervals": [[10, 20, "Fighting"]],
    }
    rows = [json.loads(line) for line in answers["files"]["answers.jsonl"].read_text().splitlines()]
    assert [(row["video"], row["stage"]) for row in rows] == [(video, "query") for video in ("calm", "fight", "fire")]
    assert rows[1]["responses"][1] == {
        "text": "raw they fight",
        "score": 1,
        "description": "they fight",
        "thoughts": "",
        "definition": "",
    }
    assert "scores/fight.json" in scores["files"]
    assert scores["files"]["metrics.json"] == folder / "run/metrics.json"
    assert {"failures.json", "notices.json", "reports/fire.json"} <= scores["files"].keys()


def test_runs_with_other_scores_share_the_versions_of_data_and_answers(
    run: dict[str, Any], tmp_path: Path, evaluation: Evaluation
) -> None:
    reports = {video: replace(report, track=None) for video, report in evaluation.reports.items()}
    again = logged(tmp_path / "again", replace(evaluation, reports=reports))
    first, second = run["artifacts"], again["artifacts"]
    assert [a["digest"] == b["digest"] for a, b in zip(first, second, strict=True)] == [True, True, False]
    assert "curves/roc" not in again["logged"]  # nothing to draw without scores


def test_limits_of_tables_are_logged(
    evaluation: Evaluation, caplog: pytest.LogCaptureFixture, tmp_path: Path, run: dict[str, Any]
) -> None:
    with caplog.at_level(logging.INFO, "vaa"):
        logged(tmp_path / "run", evaluation)
    assert "W&B: pictures of 2 of 3 videos (wandb.pictures=2)" in caplog.text
    assert "W&B: 5 of 6 segments are in the table (wandb.segments)" in caplog.text
    assert f"wandb sync {tmp_path / 'run/wandb/offline-run-'}" in caplog.text


def test_videos_that_cannot_be_read_have_no_picture_and_fail_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "vaa"):
        rows = tables.video_rows(example(tmp_path / "nothing.mp4"), (), "decord", max_pictures=50)
    assert [row["peak"] for row in rows] == [None] * 4
    assert [row["scores"] is None for row in rows] == [False, False, False, True]
    assert "no frame of 3 of 3 videos can be read, first fight" in caplog.text


def test_a_table_that_fails_leaves_the_others_and_the_run_intact(
    evaluation: Evaluation, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(evaluation: Evaluation, max_rows: int) -> Any:
        raise RuntimeError("no ink")

    monkeypatch.setattr(tables, "segment_rows", broken)
    run = logged(tmp_path / "run", evaluation)
    assert "W&B: the table of segments is missing (RuntimeError: no ink)" in caplog.text
    assert run["tables"].keys() == {"classes", "videos"}
    assert len(run["artifacts"]) == 3
    assert run["exit"] == 0


def test_pictures_and_artifacts_can_be_switched_off(evaluation: Evaluation, tmp_path: Path) -> None:
    run = logged(tmp_path / "run", evaluation, replace(TRACKING, pictures=0, segments=0, artifacts=False))
    assert run["artifacts"] == []
    assert "segments" not in run["tables"]
    assert [row["scores"] for row in run["tables"]["videos"]] == [None] * 4


def test_a_thinned_curve_keeps_its_shape_and_ends() -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(20_000))
    y = np.where(x < 0.01, 0.0, np.sqrt(x))  # a step, then a bend
    thin_x, thin_y = thin_curve(x, y, 500)
    assert len(thin_x) <= 500
    assert (thin_x[0], thin_x[-1], thin_y[-1]) == (x[0], x[-1], y[-1])
    assert auc(thin_x, thin_y) == pytest.approx(auc(x, y), abs=1e-3)
    assert set(zip(thin_x, thin_y, strict=True)) <= set(zip(x, y, strict=True))


def test_keyboard_interrupts_are_not_caught() -> None:
    with pytest.raises(KeyboardInterrupt), log_errors("anything"):
        raise KeyboardInterrupt
