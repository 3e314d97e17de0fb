from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import odd_videos
import pytest
from alert_rules import alert_rule
from PIL import Image

from vaa.data.masks import ArrayMasks
from vaa.errors import DataError
from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.frame_times import FrameTimes
from vaa.pipeline import RunResult
from vaa.process import PROJECT_ROOT
from vaa.report import files
from vaa.report.page.build import SCRIPTS, Page
from vaa.report.page.levels import score_levels
from vaa.report.page.media import write_media
from vaa.report.page.overview import sparkline
from vaa.report.page.video import track_changes, video_data
from vaa.report.runs import Run
from vaa.types import (
    Box,
    Dataset,
    DefinitionTrack,
    Failure,
    GroundTruth,
    Report,
    Response,
    ScoreTrack,
    Segment,
    Span,
    SuspiciousWindow,
    Video,
)
from vaa.video import sources


def scored(video: str, values: list[float], path: Path = Path("missing.mp4"), text: str = "a scene") -> Report:
    """A report of a video of 10 frames a value, at 10 frames a second."""
    n = len(values)
    segments = tuple(Segment(10 * k, 10 * k + 10, (10 * k,), 10 * k) for k in range(n))
    responses = tuple(Response(f"Answer: {text}", value, text) for value in values)
    track = ScoreTrack(np.array(values), np.arange(0, 10 * n, 10, dtype=np.int64))
    return Report(Video(video, path, 10 * n, 10.0), segments, responses, track)


def finished(folder: Path, reports: list[Report], truths: dict[str, GroundTruth], notices: tuple[str, ...] = ()) -> Run:
    """A run's folder as run.py writes it, with alerts."""
    history = {r.video.id: {"ask": replace(r, track=None), "score": r} for r in reports}
    result = RunResult({r.video.id: r for r in reports}, history, [Failure("broken", "ask", "no frame")])
    dataset = Dataset("ours", tuple(r.video for r in reports), truths, ())
    protocol = Protocol(
        name="p",
        labels=None,
        end_inclusive=False,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    evaluation = evaluate(result=result, dataset=dataset, protocol=protocol)
    files.write_results(folder, result, notices)
    files.write_truth(folder, evaluation)
    counts = {"videos": float(len(reports)), "unparsed": float("nan")}
    files.write_metrics(folder, "p", evaluation.metrics | counts)
    rule = alert_rule()
    rule.write(folder, rule.find_all(evaluation))
    return Run(folder)


def data(file: Path) -> dict[str, Any]:
    """The argument of a data script's call."""
    text = file.read_text(encoding="utf-8")
    return dict(json.loads(text[text.index("{") : text.rindex(")")]))


TRUTHS = {
    "fight": GroundTruth((Span(20, 30, "fight"),), "fight", (Box(22, (1.0, 2.0, 3.0, 4.0), 1.0),), "Two fight."),
    "calm": GroundTruth((), "Normal"),
}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (
            {"max_unparsed": 0.1, "max_failed": 0.0},
            ["7 of 20 answers could not be parsed, more", "1 of 2 videos failed, mo"],
        ),
        ({"max_unparsed": 0.4, "max_failed": 0.5}, []),
        ({}, []),
    ],
)
def test_an_incomplete_run_has_a_warning_above_its_numbers(
    tmp_path: Path, limits: dict[str, float], expected: list[str]
) -> None:
    run = finished(tmp_path, [scored("calm", [0.4, 0.4])], {}, ("a notice",))
    counts = {"videos": 1.0, "failed": 1.0, "answers": 20.0, "unparsed": 7.0}
    files.write_metrics(tmp_path, "p", counts)
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").write_text(json.dumps(limits))
    page = Page(copy=False).write(Run(run.folder)).read_text()
    assert [text in page for text in expected] == [True] * len(expected)
    assert page.count("more than max_") == len(expected)
    assert "a notice" in page
    assert data(tmp_path / "page/run.js")["metrics"]["unparsed"] == 7


def test_the_data_of_a_page_are_exact(tmp_path: Path) -> None:
    fight = replace(
        scored("fight", [0.1, 0.2, 0.9, 0.3]),
        tags="fight",
        summary="A fight.",
        boxes=(Box(16, (5.0, 6.0, 7.0, 8.0), 0.5),),
        located_frames=(0, 16),
    )
    page = Page(copy=False).write(finished(tmp_path, [fight, scored("calm", [0.4, 0.4])], TRUTHS, ("a notice",)))
    assert page == tmp_path / "report.html"
    run = data(tmp_path / "page/run.js")
    assert (run["notices"], run["data"], run["protocol"]["name"]) == (["a notice"], "ours", "p")
    assert run["failures"] == [{"video": "broken", "stage": "ask", "reason": "no frame"}]
    assert (run["metrics"]["roc_auc"], run["metrics"]["unparsed"], run["classes"]) == (1.0, None, [["fight", 1.0, 1]])
    assert run["alert_rule"] | {"threshold": 0.5, "number": 1} == run["alert_rule"]
    assert [row["id"] for row in run["rows"]] == ["calm", "fight"]
    calm, row = run["rows"]
    assert row | {"class": "fight", "seconds": 4.0, "frames": 40, "labels": [[20, 30]]} == row
    assert (row["events"], row["own"]) == ([[2.0, 3.0, "fight"]], [[2.0, 3.0, 0.9, 2.4]])
    assert (row["highest"], row["error"], row["contrast"]) == (0.9, 0.0, 0.65)
    assert (calm["highest"], calm["error"], calm["contrast"], calm["own"]) == (0.4, 0.4, 0.0, [])
    assert data(tmp_path / "page/levels.js")["videos"] == [
        {"at": [0], "to": [40], "fps": 10.0, "frames": 20},
        {"at": [0, 10, 10, 10], "to": [10, 20, 90, 30], "fps": 10.0, "frames": 40},
    ]
    video = data(tmp_path / "page/videos/1.js")
    assert video | {"id": "fight", "frames": 40, "fps": 10.0, "labels": [[20, 30]], "reference": "Two fight."} == video
    assert (video["segments"][2], video["annotated"], video["sources"]) == (
        [20, 30, 20],
        [[22, 1.0, 2.0, 3.0, 4.0]],
        [],
    )
    ask, score = video["stages"]
    assert [video["texts"][k] for k in (ask["texts"][0], ask["descriptions"][0])] == ["Answer: a scene", "a scene"]
    assert (ask["scores"], len(video["texts"])) == ([0.1, 0.2, 0.9, 0.3], 3)
    assert (ask["boxes"], ask["located_frames"]) == ([[16, 5.0, 6.0, 7.0, 8.0, 0.5]], [0, 16])
    assert (ask["tags"], ask["summary"], "track" in ask) == ("fight", "A fight.", False)
    assert score == {"name": "score", "track": {"at": [0, 10, 20, 30], "to": [0.1, 0.2, 0.9, 0.3], "stop": 40}}
    assert [(alert["from"], alert["text"]) for alert in video["alerts"]] == [("0:00:02", "a scene")]


def test_without_labels_there_is_no_metric_and_no_curve(tmp_path: Path) -> None:
    Page(copy=False).write(finished(tmp_path, [scored("mine", [0.1, 0.9])], {}))
    run = data(tmp_path / "page/run.js")
    assert (run["curves"], run["classes"], sorted(run["metrics"])) == (None, [], ["unparsed", "videos"])
    assert "error" not in run["rows"][0]
    assert data(tmp_path / "page/videos/0.js")["labels"] is None


def test_no_text_or_name_can_end_a_script_or_open_a_tag(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028"
    run = finished(tmp_path, [scored(evil, [0.9, 0.9], text=evil)], {evil: GroundTruth((), evil, text=evil)}, (evil,))
    page = Page(copy=False).write(run)
    for file in (tmp_path / "page/run.js", tmp_path / "page/videos/0.js"):
        text = file.read_text(encoding="utf-8")
        assert "<" not in text
        assert "\u2028" not in text
    assert data(tmp_path / "page/videos/0.js")["id"] == evil
    assert "<img" not in page.read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page.read_text(encoding="utf-8")


def test_the_page_links_the_video_or_a_copy(tmp_path: Path, clip: Path) -> None:
    odd = clip.rename(clip.parent / "a #1?.mp4")
    run = finished(tmp_path / "run", [scored("odd", [0.5, 0.5], odd)], {})
    Page(copy=False).write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"] == ["../a%20%231%3F.mp4", odd.as_uri()]
    Page(copy=True).write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"] == ["page/media/0.mp4"]
    assert (tmp_path / "run/page/media/0.mp4").read_bytes() == odd.read_bytes()


def test_a_copy_for_browsers_is_encoded_and_a_damaged_video_is_copied(tmp_path: Path) -> None:
    old = odd_videos.plain(tmp_path / "old.avi", "mpeg4").path
    damaged = tmp_path / "damaged.avi"
    damaged.write_bytes(b"no video")
    run = finished(tmp_path / "run", [scored("a", [0.5] * 4, old), scored("b", [0.5] * 4, damaged)], {})
    Page(copy="encoded").write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"] == ["page/media/0.mp4"]
    copy = Video("copy", tmp_path / "run/page/media/0.mp4", 40, 10.0)
    assert odd_videos.codes(sources.frames(copy, range(40), "pyav")) == list(range(40))
    assert data(tmp_path / "run/page/videos/1.js")["sources"] == ["page/media/1.avi"]


def test_paths_are_relative_to_the_folder_of_the_run(tmp_path: Path, clip: Path) -> None:
    run = finished(tmp_path / "run", [scored("mine", [0.5, 0.5], Path(clip.name))], {})
    (tmp_path / "run/.hydra").mkdir()
    choices = {"method": "urf", "run": "dataset", "smoothing": "none", "experiment": None, "vlm": "tiny"}
    choices |= {"prompt@caption": "caption", "vlm@boxer": "internvl", "encoder": "tiny_clip"}
    hydra = {"hydra": {"runtime": {"cwd": str(clip.parent), "choices": choices}}}
    (tmp_path / "run/.hydra/hydra.yaml").write_text(json.dumps(hydra))
    (tmp_path / "run/.hydra/overrides.yaml").write_text("[limit=3]")
    models = {"vlm": {"size": 1}, "boxer": {"size": 2}, "encoder": {"size": 3}}
    stages = {"ask": {"model": "${vlm}"}, "locate": {"model": "${boxer}"}}
    config = {"run": {"stages": "${stages}"}, "stages": stages, **models}
    (tmp_path / "run/.hydra/config.yaml").write_text(json.dumps(config))
    Page(copy=False).write(run)
    assert data(tmp_path / "run/page/videos/0.js")["sources"][0] == "../clip.mp4"
    content = data(tmp_path / "run/page/run.js")
    assert (content["title"], content["overrides"]) == ("urf on ours", ["limit=3"])
    assert content["choices"] == {"vlm": "tiny", "vlm@boxer": "internvl"}


def test_the_command_writes_the_page_from_the_folder(tmp_path: Path) -> None:
    finished(tmp_path / "deep/run", [scored("mine", [0.1, 0.9])], {})
    command = [sys.executable, "-m", "vaa.report.page"]
    process = subprocess.run([*command, str(tmp_path)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.split() == [str(tmp_path / "deep/run/report.html")]
    assert {file.name for file in (tmp_path / "deep/run/page").iterdir()} == {
        *SCRIPTS,
        "levels.js",
        "page.css",
        "plotly.js",
        "run.js",
        "videos",
    }
    failed = subprocess.run(
        [*command, str(PROJECT_ROOT / "conf")], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert failed.returncode == DataError.exit_status
    assert "metrics.json" in failed.stderr


def test_the_page_of_a_run_in_memory_and_of_its_folder_are_equal(tmp_path: Path) -> None:
    fight = replace(scored("fight", [0.1, math.nan, 0.9, 0.3]), tags="fight", gated=True, located_frames=(0, 16))
    fight = replace(fight, track=ScoreTrack(np.array([0.1, 0.1, 0.9]), np.array([0, 7, 20])))
    fight = replace(fight, suspicious_window=SuspiciousWindow((0, 10), 0.9, (10, 20), 0.1, 0.2, math.nan, 0.1))
    reports = {"fight": fight, "calm": scored("calm", [0.4, 0.4]), "smoke": scored("smoke", [0.4, 0.4])}
    pixels = np.zeros((20, 8, 9), np.uint8)
    pixels[3:20, 2:5, 4:7] = 1
    np.save(tmp_path / "masks.npy", pixels)
    smoke = GroundTruth((Span(3, 13, "smoke"),), "smoke", masks=ArrayMasks(tmp_path / "masks.npy"))
    truths = {**TRUTHS, "smoke": smoke}
    history = {video: {"ask": replace(r, track=None), "score": r} for video, r in reports.items()}
    dataset = Dataset("ours", tuple(r.video for r in reports.values()), truths, ())
    protocol = Protocol(
        name="p",
        labels=None,
        end_inclusive=False,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    evaluation = evaluate(result=RunResult(reports, history), dataset=dataset, protocol=protocol)
    run = finished(tmp_path, list(reports.values()), truths)
    scripts = []
    for source in (evaluation, None):
        Page(copy=False).write(run, source)
        scripts.append({file.name: file.read_text() for file in (tmp_path / "page").rglob("*.js")})
    assert scripts[0] == scripts[1]
    outlines = [[3, 4, 2, 7, 5], [8, 4, 2, 7, 5]]  # two a second
    assert data(tmp_path / "page/videos/2.js")["annotated"] == outlines


def test_a_track_is_drawn_by_its_changes_at_the_finest_resolution_that_has_few() -> None:
    flat = ScoreTrack(np.repeat([0.2, 0.7], 50_000), np.arange(100_000))
    assert track_changes(flat, 100_000) == {"at": [0, 50_000], "to": [0.2, 0.7], "stop": 100_000}
    wave = 0.5 + 0.5 * np.sin(np.arange(99_000) / 2000)
    drawn = track_changes(ScoreTrack(wave, np.arange(99_000)), 100_000)
    assert len(drawn["at"]) <= 1500
    assert drawn["stop"] == 99_000
    values = np.repeat(drawn["to"], np.diff([*drawn["at"], 99_000]))
    assert np.abs(values - wave).max() <= 0.05
    gaps = ScoreTrack(np.array([math.nan, 0.5, math.nan]), np.array([0, 5, 9]))
    assert track_changes(gaps, 10) == {"at": [0, 5, 9], "to": [None, 0.5, None], "stop": 10}
    empty = ScoreTrack(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert track_changes(empty, 10) == {"at": [], "to": [], "stop": 10}


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
def test_a_score_reaches_a_threshold_of_hundredths_if_its_level_does(precision: str) -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([np.arange(101) / 100, rng.random(200), [-0.1, 1.5, math.nan]]).astype(precision)
    content = score_levels(Video("v", Path("v.mp4"), len(scores), 10.0), scores)
    assert content is not None
    levels = np.repeat(content["to"], np.diff(np.cumsum(content["at"]), append=len(scores)))
    for n in range(101):
        assert ((levels >= n) == (scores >= n / 100)).all()


def test_levels_of_a_varying_rate_have_the_times_of_its_frames_and_its_pauses() -> None:
    times = FrameTimes(np.concatenate([np.arange(10) / 10, 50 + np.arange(10) / 10]))
    video = Video("v", Path("v.mp4"), 20, 10.0, times=times)
    assert score_levels(video, np.repeat([0.25, 0.5], [5, 15])) == {
        "at": [0, 5, 5],
        "to": [25, 50, 50],
        "start": [0.0, 0.5, 50.0],
        "stop": [0.5, 1.0, 51.0],
        "pauses": [2],
    }


def test_a_video_has_a_line_for_each_of_several_definitions(tmp_path: Path) -> None:
    fall, fire = (
        DefinitionTrack(name, ScoreTrack(np.array([0.1, value]), np.array([0, 10])))
        for name, value in (("a fall", 0.9), ("fire", 0.2))
    )
    several = replace(scored("several", [0.1, 0.9]), definition_tracks=(fall, fire))
    one = replace(scored("one", [0.1, 0.9]), definition_tracks=(fall,))
    Page(copy=False).write(finished(tmp_path, [one, several], {}))
    tracks = [data(tmp_path / f"page/videos/{k}.js")["definitions"] for k in (0, 1)]
    assert tracks[0] == []
    assert [(each["name"], each["track"]["to"]) for each in tracks[1]] == [("a fall", [0.1, 0.9]), ("fire", [0.1, 0.2])]
    assert data(tmp_path / "page/run.js")["definitions"] == ["a fall", "fire"]


def test_only_stills_that_exist_are_shown(tmp_path: Path) -> None:
    run = finished(tmp_path, [scored("mine", [0.9, 0.1, 0.1, 0.1, 0.9])], {})
    content = json.loads((tmp_path / "alerts.json").read_text())
    for alert, still in zip(content["alerts"], ("alerts/a #1.jpg", "alerts/gone.jpg"), strict=True):
        alert["still"] = still
    (tmp_path / "alerts.json").write_text(json.dumps(content))
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts/a #1.jpg").write_bytes(b"")
    Page(copy=False).write(run)
    assert [alert["still"] for alert in data(tmp_path / "page/run.js")["alerts"]] == ["alerts/a%20%231.jpg", None]


def test_a_stage_without_a_visible_change_has_no_track(tmp_path: Path) -> None:
    start = Report(Video("v", Path("v.mp4"), 10, 0.0))
    track = ScoreTrack(np.array([0.1, 0.2]), np.array([0, 5]))
    history = {
        "score": replace(start, track=track),
        "frames": replace(start, track=track.per_frame(10)),
    }
    history["gate"] = replace(history["frames"], gated=False)
    result = RunResult({"v": history["gate"]}, {"v": history})
    protocol = Protocol(
        name="p",
        labels=None,
        end_inclusive=False,
        precision="float64",
        pad=0.0,
        smooth=0.0,
        transform="none",
        metrics={},
    )
    content = video_data(evaluate(result=result, dataset=Dataset("d", (), {}, ()), protocol=protocol), "v")
    assert [sorted(stage) for stage in content["stages"]] == [["name", "track"], ["name"], ["gated", "name"]]
    assert content["fps"] == 25.0


def test_a_sparkline_has_the_highest_score_of_each_part() -> None:
    scores = np.zeros(1000)
    scores[503] = 0.8
    values = sparkline(scores)
    assert (len(values), max(values), values.index(80)) == (80, 80, 40)
    assert sparkline(np.array([0.1, float("nan"), 2.0])) == [10, 0, 100]


def test_the_page_gets_the_times_of_a_varying_rate(tmp_path: Path) -> None:
    plain = scored("motion", [0.1, 0.9])
    times = FrameTimes(np.concatenate([np.arange(10) / 10, 50 + np.arange(10) / 10]))
    report = replace(plain, video=replace(plain.video, times=times))
    contents = {}
    for name, each in (("varying", report), ("constant", plain)):
        run = finished(tmp_path / name, [each], {})
        Page(copy=False).write(run)
        contents[name] = (data(run.folder / "page" / "run.js"), data(run.folder / "page" / "videos" / "0.js"))
    overview, video = contents["varying"]
    assert video["times"] == [*times.values, 51.0]
    assert overview["rows"][0]["seconds"] == 51.0
    assert overview["alerts"][0]["start_seconds"] == 50.0
    overview, video = contents["constant"]
    assert "times" not in video
    assert overview["rows"][0]["seconds"] == 2.0


def test_stills_have_the_outlines_of_masks_drawn_into_them(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(20):
        Image.new("RGB", (64, 48), (0, 0, 90)).save(tmp_path / f"images/{number:03d}.png")
    pixels = np.zeros((20, 48, 64), np.uint8)
    pixels[4:9, 10:30, 20:50] = 1
    np.save(tmp_path / "masks.npy", pixels)
    video = Video("v", tmp_path / "images", 20, 10.0, "images")
    truth = GroundTruth((Span(4, 9, "fire"),), "fire", masks=ArrayMasks(tmp_path / "masks.npy"))
    stills = dict(write_media(tmp_path, video, 0, copy=False, truth=truth).stills)
    assert 0.6 in stills  # the middle of the interval
    for seconds, still in stills.items():
        with Image.open(tmp_path / still) as image:
            red = np.asarray(image)[..., 0] > 120
        assert red.any() == (4 <= round(10 * seconds) < 9)
        if red.any():
            ys, xs = np.nonzero(red)
            np.testing.assert_allclose([xs.min(), xs.max(), ys.min(), ys.max()], [20, 50, 10, 30], atol=1)
