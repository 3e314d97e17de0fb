"""What a W&B user finds, read back from the offline file: every table, curve, picture and artifact, with its values."""

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
from wandb_example import example
from wandb_log import read_back

from vaa.evaluation.curves import thin
from vaa.evaluation.evaluation import Evaluation
from vaa.report import files
from vaa.tracking import segments
from vaa.tracking import videos as wandb_videos
from vaa.tracking.run import Tracking
from vaa.tracking.service import wanted

TRACKING = Tracking(
    "offline", "vaa-tests", None, None, "by hand", [], pictures=2, segments=5, artifacts=True, patience=300.0
)
METRICS = {"roc_auc": 0.75, "videos": 3, "failed": 1, "cider": float("nan")}


def logged(folder: Path, found: Evaluation, limits: Tracking = TRACKING) -> dict[str, Any]:
    folder.mkdir()
    files.write(folder, found.result, [])
    files.write_metrics(folder, METRICS)
    with limits.run({"method": "corevad"}, folder) as tracked:
        tracked.log(METRICS, ["a notice"], found)
    (told,) = read_back(folder)
    return told


def pixels(cell: dict[str, Any]) -> Any:
    with Image.open(cell["file"]) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by_hand")


@pytest.fixture(scope="module")
def found(folder: Path, _clip: Path) -> Evaluation:
    return example(_clip)


@pytest.fixture(scope="module")
def told(folder: Path, found: Evaluation) -> dict[str, Any]:
    return logged(folder / "run", found)


def test_every_number_is_a_column(told: dict[str, Any]) -> None:
    assert told["summary"]["roc_auc"] == 0.75
    assert told["summary"]["seconds/query"] == 1.5
    assert told["summary"]["notices"] == ["a notice"]
    assert told["summary"]["failures"] == ["lost (ask): no such video file"]
    # .9 is above all other frames of calm and fight, .3 above fire's ten other frames and below calm's twenty.
    assert told["summary"]["class_auc/Fighting"] == 1
    assert told["summary"]["class_auc/Fire"] == told["summary"]["class_auc/Riot"] == pytest.approx(1 / 3)
    assert told["exit"] == 0


def test_the_table_of_classes(told: dict[str, Any]) -> None:
    rows = {row["class"]: row for row in told["tables"]["classes"]}
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


def test_the_curves_are_those_of_all_frames(told: dict[str, Any]) -> None:
    roc = [(row["false_positive_rate"], row["true_positive_rate"]) for row in told["curves"]["roc_table"]]
    assert auc(*zip(*roc, strict=True)) == pytest.approx(0.75)
    assert {row["class"] for row in told["curves"]["roc_table"]} == {"by hand"}
    pr = [(row["recall"], row["precision"]) for row in told["curves"]["pr_table"]]
    assert {(1.0, 0.5), (0.5, 1.0)} <= set(pr)  # all frames above .2: 20 of 40 are anomalous; above .4: ten of ten
    for key, x in (("curves/roc", "false_positive_rate"), ("curves/pr", "recall")):
        panel = told["panels"][key]
        assert panel["panelDefId"] == "wandb/area-under-curve/v0"
        assert panel["fieldSettings"]["x"] == x
        assert panel["userQuery"]["queryFields"][0]["fields"][3]["args"][0]["value"] == f"{key}_table"


def test_the_table_of_videos(told: dict[str, Any]) -> None:
    fight, fire, calm, lost = told["tables"]["videos"]
    assert [row["video"] for row in (fight, fire, calm, lost)] == ["fight", "fire", "calm", "lost"]
    shown = {key: value for key, value in fight.items() if key not in ("scores", "moment")}
    assert shown == {
        "video": "fight",
        "class": "Fighting",
        "frames": 20,
        "seconds": 2,
        "anomalous_share": 0.5,
        "auc": 1,
        "max_score": 0.9,
        "error": pytest.approx(0.1),
        "moment_frame": 14,
        "moment_second": 1.4,
        "text": "a room",
        "tags": "fighting",
        "summary": "A fight breaks out.",
        "gated": None,
        "failed": None,
    }
    assert (calm["auc"], calm["max_score"], fire["error"]) == (None, 0.4, pytest.approx(0.45))
    assert calm["scores"] is calm["moment"] is None  # wandb.pictures=2
    assert (lost["failed"], lost["class"], lost["frames"]) == ("ask: no such video file", "Normal", 20)
    assert (lost["max_score"], lost["scores"]) == (None, None)


def test_the_most_suspicious_moment_is_a_picture_with_boxes(told: dict[str, Any]) -> None:
    fight, fire, *_ = told["tables"]["videos"]
    assert pixels(fight["moment"]).shape == (64, 96, 3)
    assert fight["moment"]["caption"] == "fight, frame 12"  # the frame with a box that is nearest to frame 14
    (box,) = fight["moment"]["boxes"]["found"]
    assert box["position"] == {"minX": 8 / 96, "minY": 8 / 64, "maxX": 48 / 96, "maxY": 32 / 64}
    assert (box["box_caption"], box["scores"]) == ("fighting", {"score": 0.75})
    (true,) = fight["moment"]["boxes"]["annotated"]
    assert true["position"]["maxX"] == 40 / 96
    assert fire["moment"]["caption"] == "fire, frame 4"
    assert not fire["moment"].get("boxes")


def test_a_score_plot_has_its_label_strip(told: dict[str, Any]) -> None:
    fight, fire, *_ = told["tables"]["videos"]
    fight, fire = pixels(fight["scores"]), pixels(fire["scores"])
    assert fight.shape == (120, 480, 3)
    left, right = fight[110, 60].astype(int), fight[110, 440].astype(int)
    assert left.min() > 200  # a normal frame
    assert right[0] - right[1] > 100  # an anomalous one is red
    assert (fire[110, 60] == fight[110, 440]).all()


def test_the_table_of_segments_shows_what_each_stage_changed(told: dict[str, Any]) -> None:
    rows = told["tables"]["segments"]
    assert len(rows) == 5  # wandb.segments, of 6; the last of calm is left out
    assert [(row["video"], row["frame"]) for row in rows[:3]] == [("fight", 0), ("fight", 10), ("fire", 0)]
    assert list(rows[0])[:5] == ["video", "class", "frame", "start", "stop"]
    assert list(rows[0])[5:9] == ["second", "anomalous_share", "text", "score"]
    assert list(rows[0])[9:] == ["ask text", "ask score", "clean text", "clean score", "smooth score"]
    second = rows[1]
    assert (second["ask text"], second["ask score"]) == ("they fight", 1)
    assert (second["clean text"], second["clean score"]) == ("a room", 0.1)
    assert (second["smooth score"], second["score"], second["text"]) == (0.9, 0.9, "a room")
    assert (second["anomalous_share"], second["second"], second["class"]) == (1, 1, "Fighting")
    assert (rows[0]["clean text"], rows[0]["clean score"], rows[0]["smooth score"]) == (None, None, None)


def test_data_answers_and_scores_are_artifacts_that_name_each_other(told: dict[str, Any], folder: Path) -> None:
    data, answers, scores = told["artifacts"]
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
    assert videos[1] == {"id": "fight", "frames": 20, "fps": 10, "class": "Fighting", "spans": [[10, 20, "Fighting"]]}
    said = [json.loads(line) for line in answers["files"]["answers.jsonl"].read_text().splitlines()]
    assert [(line["video"], line["stage"]) for line in said] == [
        (video, "query") for video in ("calm", "fight", "fire")
    ]
    assert said[1]["responses"][1] == {"text": "raw they fight", "score": 1, "description": "they fight"}
    assert "scores/fight.json" in scores["files"]
    assert scores["files"]["metrics.json"] == folder / "run/metrics.json"
    assert {"failures.json", "notices.json", "reports/fire.json"} <= scores["files"].keys()


def test_what_lies_behind_the_models_leaves_data_and_answers_the_same_version(
    told: dict[str, Any], tmp_path: Path, found: Evaluation
) -> None:
    other = {video: replace(report, track=None) for video, report in found.result.reports.items()}
    again = logged(tmp_path / "again", replace(found, result=replace(found.result, reports=other)))
    first, second = told["artifacts"], again["artifacts"]
    assert [a["digest"] == b["digest"] for a, b in zip(first, second, strict=True)] == [True, True, False]
    assert "curves/roc" not in again["logged"]  # nothing to draw without scores


def test_bounds_are_said_in_the_log(
    found: Evaluation, caplog: pytest.LogCaptureFixture, tmp_path: Path, told: dict[str, Any]
) -> None:
    with caplog.at_level(logging.INFO, "vaa"):
        logged(tmp_path / "run", found)
    assert "W&B: pictures of 2 of 3 videos (wandb.pictures=2)" in caplog.text
    assert "W&B: 5 of 6 segments are in the table (wandb.segments)" in caplog.text
    assert f"wandb sync {tmp_path / 'run/wandb/offline-run-'}" in caplog.text


def test_videos_that_cannot_be_read_have_no_picture_and_fail_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "vaa"):
        rows = wandb_videos.rows(example(tmp_path / "nothing.mp4"), pictures=50)
    assert [row["moment"] for row in rows] == [None] * 4
    assert [row["scores"] is None for row in rows] == [False, False, False, True]
    assert "no frame of 3 of 3 videos can be read, first fight" in caplog.text


def test_a_panel_that_fails_costs_neither_the_others_nor_the_run(
    found: Evaluation, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(found: Evaluation, most: int) -> Any:
        raise RuntimeError("no ink")

    monkeypatch.setattr(segments, "rows", broken)
    told = logged(tmp_path / "run", found)
    assert "W&B: the table of segments is missing (RuntimeError: no ink)" in caplog.text
    assert told["tables"].keys() == {"classes", "videos"}
    assert len(told["artifacts"]) == 3
    assert told["exit"] == 0


def test_without_pictures_and_artifacts_none_are_made(found: Evaluation, tmp_path: Path) -> None:
    told = logged(tmp_path / "run", found, replace(TRACKING, pictures=0, segments=0, artifacts=False))
    assert told["artifacts"] == []
    assert "segments" not in told["tables"]
    assert [row["scores"] for row in told["tables"]["videos"]] == [None] * 4


def test_a_long_curve_keeps_its_shape_and_ends() -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(20_000))
    y = np.where(x < 0.01, 0.0, np.sqrt(x))  # a step, then a bend
    kept_x, kept_y = thin(x, y, 500)
    assert len(kept_x) <= 500
    assert (kept_x[0], kept_x[-1], kept_y[-1]) == (x[0], x[-1], y[-1])
    assert auc(kept_x, kept_y) == pytest.approx(auc(x, y), abs=1e-3)
    assert set(zip(kept_x, kept_y, strict=True)) <= set(zip(x, y, strict=True))


def test_the_guard_lets_what_ends_a_program_through() -> None:
    with pytest.raises(KeyboardInterrupt), wanted("anything"):
        raise KeyboardInterrupt
