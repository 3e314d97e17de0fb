from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import files
from vaa.report.alerts import Alerts
from vaa.report.page.build import SCRIPTS, Page
from vaa.report.page.glance import error
from vaa.report.page.story import story
from vaa.report.page.tracks import spans, spark, steps
from vaa.report.runs import Run
from vaa.types import Box, Dataset, Failure, GroundTruth, Report, Response, ScoreTrack, Segment, Span, Video

HOUSE = Path(__file__).parents[2]


def seen(video: str, values: list[float], path: Path = Path("gone.mp4"), said: str = "a scene") -> Report:
    """A report of a video of 10 frames a value, at 10 frames a second."""
    n = len(values)
    segments = tuple(Segment(10 * k, 10 * k + 10, (10 * k,), 10 * k) for k in range(n))
    responses = tuple(Response(f"Answer: {said}", value, said) for value in values)
    track = ScoreTrack(np.array(values), np.arange(0, 10 * n, 10, dtype=np.int64))
    return Report(Video(video, path, 10 * n, 10.0), segments, responses, track)


def finished(folder: Path, reports: list[Report], truths: dict[str, GroundTruth], notices: tuple[str, ...] = ()) -> Run:
    """A run's folder as run.py leaves it, with alerts."""
    history = {r.video.id: {"ask": replace(r, track=None), "score": r} for r in reports}
    result = RunResult({r.video.id: r for r in reports}, history, [Failure("broken", "ask", "no frame")])
    dataset = Dataset("ours", tuple(r.video for r in reports), truths, ())
    protocol = Protocol("p", None, False, "pr_auc", "float64", 0.0)
    files.write(folder, result, notices)
    files.write_truth(folder, result, dataset, protocol)
    counts = {"videos": float(len(reports)), "unparsed": float("nan")}
    files.write_metrics(folder, protocol.evaluate(dataset, result.reports) | counts)
    Alerts(0.5, 2.0, 0.5).write(folder, reports, protocol)
    return Run(folder)


def data(file: Path) -> dict[str, Any]:
    """What a data script hands to the page."""
    text = file.read_text(encoding="utf-8")
    return dict(json.loads(text[text.index("{") : text.rindex(")")]))


TRUTHS = {
    "fight": GroundTruth((Span(20, 30, "fight"),), "fight", (Box(22, (1.0, 2.0, 3.0, 4.0), 1.0),), "Two fight."),
    "calm": GroundTruth((), "Normal"),
}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            {"max_unparsed": 0.1, "max_failed": 0.0},
            ["7 of 20 answers could not be read, more", "1 of 2 videos failed, mo"],
        ),
        ({"max_unparsed": 0.4, "max_failed": 0.5}, []),
        ({}, []),
    ],
)
def test_a_run_that_is_not_whole_says_so_above_its_numbers(
    tmp_path: Path, limits: dict[str, float], said: list[str]
) -> None:
    run = finished(tmp_path, [seen("calm", [0.4, 0.4])], {}, ("mind the gap",))
    counts = {"videos": 1.0, "failed": 1.0, "answers": 20.0, "unparsed": 7.0}
    files.write_metrics(tmp_path, counts)
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").write_text(json.dumps(limits))
    page = Page(copy=False).write(Run(run.folder)).read_text()
    assert [words in page for words in said] == [True] * len(said)
    assert page.count("more than max_") == len(said)
    assert "mind the gap" in page
    assert data(tmp_path / "page/run.js")["metrics"]["unparsed"] == 7


def test_the_data_of_a_page_are_exact(tmp_path: Path) -> None:
    fight = replace(
        seen("fight", [0.1, 0.2, 0.9, 0.3]),
        tags="fight",
        summary="A fight.",
        boxes=(Box(16, (5.0, 6.0, 7.0, 8.0), 0.5),),
        located_frames=(0, 16),
    )
    page = Page(copy=False).write(finished(tmp_path, [fight, seen("calm", [0.4, 0.4])], TRUTHS, ("mind the gap",)))
    assert page == tmp_path / "report.html"
    run = data(tmp_path / "page/run.js")
    assert (run["notices"], run["data"], run["protocol"]["name"]) == (["mind the gap"], "ours", "p")
    assert run["failures"] == [{"video": "broken", "stage": "ask", "reason": "no frame"}]
    assert (run["metrics"]["roc_auc"], run["metrics"]["unparsed"], run["classes"]) == (1.0, None, [["fight", 1.0, 1]])
    assert run["alerting"] | {"threshold": 0.5, "number": 1} == run["alerting"]
    assert [row["id"] for row in run["rows"]] == ["calm", "fight"]
    calm, row = run["rows"]
    assert row | {"class": "fight", "seconds": 4.0, "frames": 40, "labels": [[20, 30]], "alerts": 1} == row
    assert (row["highest"], row["error"], row["contrast"]) == (0.9, 0.0, 0.65)
    assert (calm["highest"], calm["error"], calm["contrast"], calm["alerts"]) == (0.4, 0.4, 0.0, 0)
    told = data(tmp_path / "page/videos/1.js")
    assert told | {"id": "fight", "frames": 40, "fps": 10.0, "labels": [[20, 30]], "reference": "Two fight."} == told
    assert (told["segments"][2], told["annotated"], told["sources"]) == ([20, 30, 20], [[22, 1.0, 2.0, 3.0, 4.0]], [])
    ask, score = told["stages"]
    assert [told["texts"][k] for k in (ask["texts"][0], ask["read"][0])] == ["Answer: a scene", "a scene"]
    assert (ask["scores"], len(told["texts"])) == ([0.1, 0.2, 0.9, 0.3], 3)
    assert (ask["boxes"], ask["located_frames"]) == ([[16, 5.0, 6.0, 7.0, 8.0, 0.5]], [0, 16])
    assert (ask["tags"], ask["summary"], "track" in ask) == ("fight", "A fight.", False)
    assert score == {"name": "score", "track": {"at": [0, 10, 20, 30], "to": [0.1, 0.2, 0.9, 0.3], "stop": 40}}
    assert [(alert["from"], alert["what"]) for alert in told["alerts"]] == [("0:00:02", "a scene")]


def test_without_labels_there_is_no_metric_and_no_curve(tmp_path: Path) -> None:
    Page(copy=False).write(finished(tmp_path, [seen("mine", [0.1, 0.9])], {}))
    run = data(tmp_path / "page/run.js")
    assert (run["curves"], run["classes"], sorted(run["metrics"])) == (None, [], ["unparsed", "videos"])
    assert "error" not in run["rows"][0]
    assert data(tmp_path / "page/videos/0.js")["labels"] is None


def test_nothing_said_or_named_can_end_a_script_or_open_a_tag(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028"
    run = finished(tmp_path, [seen(evil, [0.9, 0.9], said=evil)], {evil: GroundTruth((), evil, text=evil)}, (evil,))
    page = Page(copy=False).write(run)
    for file in (tmp_path / "page/run.js", tmp_path / "page/videos/0.js"):
        text = file.read_text(encoding="utf-8")
        assert "<" not in text
        assert "\u2028" not in text
    assert data(tmp_path / "page/videos/0.js")["id"] == evil
    assert "<img" not in page.read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page.read_text(encoding="utf-8")


def test_the_page_finds_the_video_or_carries_a_copy(tmp_path: Path, clip: Path) -> None:
    odd = clip.rename(clip.parent / "a #1?.mp4")
    run = finished(tmp_path / "run", [seen("odd", [0.5, 0.5], odd)], {})
    Page(copy=False).write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"] == ["../a%20%231%3F.mp4", odd.as_uri()]
    Page(copy=True).write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"] == ["page/media/0.mp4"]
    assert (tmp_path / "run/page/media/0.mp4").read_bytes() == odd.read_bytes()


def test_a_relative_path_starts_where_the_run_did(tmp_path: Path, clip: Path) -> None:
    run = finished(tmp_path / "run", [seen("mine", [0.5, 0.5], Path(clip.name))], {})
    (tmp_path / "run/.hydra").mkdir()
    hydra = {"hydra": {"runtime": {"cwd": str(clip.parent), "choices": {"method": "urf"}}}}
    (tmp_path / "run/.hydra/hydra.yaml").write_text(json.dumps(hydra))
    (tmp_path / "run/.hydra/overrides.yaml").write_text("[limit=3]")
    Page(copy=False).write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"][0] == "../clip.mp4"
    told = data(tmp_path / "run/page/run.js")
    assert (told["title"], told["overrides"]) == ("urf on ours", ["limit=3"])


def test_a_page_is_made_anew_from_the_folder_alone(tmp_path: Path) -> None:
    finished(tmp_path / "deep/run", [seen("mine", [0.1, 0.9])], {})
    command = [sys.executable, "-m", "vaa.report.page"]
    done = subprocess.run([*command, str(tmp_path)], cwd=HOUSE, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "deep/run/report.html")]
    assert {file.name for file in (tmp_path / "deep/run/page").iterdir()} == {
        *SCRIPTS,
        "page.css",
        "plotly.js",
        "run.js",
        "videos",
    }
    lost = subprocess.run([*command, str(HOUSE / "conf")], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert lost.returncode == 1
    assert "no run of vaa" in lost.stderr


def test_a_track_is_drawn_by_its_changes_to_the_finest_step_that_is_few() -> None:
    starts = list(range(100_000))
    flat = {"starts": starts, "values": [0.2] * 50_000 + [0.7] * 50_000, "stop": None}
    assert steps(flat, 100_000) == {"at": [0, 50_000], "to": [0.2, 0.7], "stop": 100_000}
    wave = 0.5 + 0.5 * np.sin(np.arange(100_000) / 2000)
    drawn = steps({"starts": starts, "values": wave.tolist(), "stop": 99_000}, 100_000)
    assert len(drawn["at"]) <= 1500
    assert drawn["stop"] == 99_000
    held = np.repeat(drawn["to"], np.diff([*drawn["at"], 100_000]))
    assert np.abs(held - wave).max() <= 0.05
    holes = {"starts": [0, 5, 9], "values": [None, 0.5, None], "stop": 12}
    assert steps(holes, 10) == {"at": [0, 5, 9], "to": [None, 0.5, None], "stop": 10}
    assert steps({"starts": [], "values": [], "stop": None}, 10) == {"at": [], "to": [], "stop": 10}


def test_a_stage_that_changes_nothing_one_could_see_has_no_track() -> None:
    track = {"starts": [0, 5], "values": [0.1, 0.2], "stop": None}
    stages = {"score": {"track": track}, "frames": {"track": dict(track)}, "gate": {"gated": False}}
    told = story({"video": {"id": "v", "n_frames": 10, "fps": 0.0}, "stages": stages}, None, [])
    assert [sorted(stage) for stage in told["stages"]] == [["name", "track"], ["name"], ["gated", "name"]]
    assert told["fps"] == 25.0


def test_a_spark_holds_the_highest_of_each_part() -> None:
    scores = np.zeros(1000)
    scores[503] = 0.8
    found = spark(scores)
    assert (len(found), max(found), found.index(80)) == (80, 80, 40)
    assert spark(np.array([0.1, float("nan"), 2.0])) == [10, 0, 100]
    assert spans(np.array([True, True, False, True])) == [[0, 2], [3, 4]]


@pytest.mark.parametrize(
    ("labels", "expected"), [([0, 0, 0, 0], 0.9), ([1, 1, 1, 1], 0.1), ([0, 0, 1, 1], 0.75), ([0, 1, 0, 0], 0.0)]
)
def test_the_error_of_a_video_says_how_wrong_its_scores_are(labels: list[int], expected: float) -> None:
    assert error(np.array(labels, bool), np.array([0.2, 0.9, 0.1, 0.6])) == pytest.approx(expected)
