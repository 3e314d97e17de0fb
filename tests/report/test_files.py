from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaa.evaluation.evaluation import evaluate
from vaa.evaluation.protocol import Protocol
from vaa.pipeline import RunResult
from vaa.report import files
from vaa.stages.read_scores import ReadScores
from vaa.types import Box, Dataset, Failure, GroundTruth, Report, Response, ScoreTrack, Segment, Span, Video


def track(values: list[float], stride: int = 1) -> ScoreTrack:
    return ScoreTrack(np.array(values, dtype=np.float64), np.arange(len(values)) * stride)


def run_result(video: str = "v") -> RunResult:
    empty = Report(Video(video, Path("videos/v.mp4"), 6, 30.0))
    queried = replace(
        empty,
        segments=(Segment(0, 3, (0, 2), 0), Segment(3, 6, (3, 5), 3)),
        responses=(Response("Normal scenes. Größe", 0.0, "Größe"), Response("?", math.nan, "?")),
        n_unparsed=1,
    )
    scored = replace(queried, track=track([0.0, 0.25], 3))
    history = {"ask": queried, "keep": queried, "score": scored}
    return RunResult({video: scored}, {video: history, "bad": {}}, [Failure("bad", "ask", "damaged")])


def read(file: Path) -> object:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_runs_folder_is_complete_json(tmp_path: Path) -> None:
    run = tmp_path / "run"
    files.write_results(run, run_result(), ["a notice"])
    files.write_metrics(run, "lavad", {"roc_auc": math.nan, "videos": 1})
    assert read(run / "metrics.json") == {"protocol": "lavad", "roc_auc": None, "videos": 1}
    assert read(run / "notices.json") == ["a notice"]
    assert read(run / "failures.json") == [{"video": "bad", "stage": "ask", "reason": "damaged"}]
    assert read(run / "scores" / "v.json") == {"0": 0.0, "3": 0.25}
    assert sorted(p.name for p in run.rglob("*.json")) == [
        "failures.json",
        "metrics.json",
        "notices.json",
        "v.json",
        "v.json",
    ]


def test_the_truth_is_written_as_the_protocol_counts_it(tmp_path: Path) -> None:
    truth = GroundTruth((Span(1, 2, "Fire"), Span(4, 90, "Fire")), "Fire", (Box(4, (0, 1, 2, 3), 1.0),), "It burns.")
    video = run_result().reports["v"].video
    dataset = Dataset("ours", (video,), {"v": truth}, ())
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
    files.write_truth(tmp_path, evaluate(result=run_result(), dataset=dataset, protocol=protocol))
    content = read(tmp_path / "truth.json")
    assert isinstance(content, dict)
    assert (content["data"], content["protocol"]["name"]) == ("ours", "p")
    spans = [[1, 2, "Fire"], [4, 90, "Fire"]]
    expected = {"class": "Fire", "frames": 6, "anomalous": [[1, 2], [4, 6]], "intervals": spans}
    assert content["videos"] == {"v": {**expected, "boxes": [[4, 0, 1, 2, 3]], "text": "It burns."}}


def test_a_report_has_the_changes_of_each_stage(tmp_path: Path) -> None:
    files.write_results(tmp_path, run_result(), [])
    content = read(tmp_path / "reports" / "v.json")
    assert content == {
        "video": {"id": "v", "path": "videos/v.mp4", "n_frames": 6, "fps": 30.0, "source": "file"},
        "stages": {
            "ask": {
                "segments": [
                    {"start": 0, "stop": 3, "frames": [0, 2], "at": 0},
                    {"start": 3, "stop": 6, "frames": [3, 5], "at": 3},
                ],
                "responses": [
                    {
                        "text": "Normal scenes. Größe",
                        "score": 0.0,
                        "description": "Größe",
                        "thoughts": "",
                        "definition": "",
                    },
                    {"text": "?", "score": None, "description": "?", "thoughts": "", "definition": ""},
                ],
                "n_unparsed": 1,
            },
            "keep": {},
            "score": {"track": {"starts": [0, 3], "values": [0.0, 0.25], "stop": 6, "step": 3}},
        },
    }
    assert "Größe" in (tmp_path / "reports" / "v.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([track([0.1, 0.2, 0.3], 16)], [["0", "16", "32"]]),
        ([track([0.1, 0.1, 0.3], 16)], [["0", "32"]]),
        ([track([0.5] * 7)], [["0"]]),
        ([track([0.1] * 4 + [0.2] * 2 + [0.3])], [["0", "2", "4", "6"]]),
        ([track([0.1, 0.2, 0.4])], [["0", "1", "2"]]),
        ([track([])], [[]]),
        ([track([0.1, 0.2], 30), track([0.5, 0.5, 0.7], 15)], [["0", "30"], ["0", "30"]]),
        ([track([0.1, 0.2], 30), track([0.5, 0.7, 0.8], 15)], [["0", "15", "30", "45"], ["0", "15", "30"]]),
    ],
)
def test_scores_of_a_run_share_the_largest_lossless_stride(
    tmp_path: Path, tracks: list[ScoreTrack], expected: list[list[str]]
) -> None:
    reports = {}
    for name, given in zip("ab", tracks, strict=False):
        n = len(given.values) * int(given.starts[1] if len(given.starts) > 1 else 1)
        reports[name] = Report(Video(name, Path("v.mp4"), n, 30.0), track=given)
    files.write_results(tmp_path, RunResult(reports, {name: {} for name in reports}), [])
    written = [list(json.loads(file.read_text())) for file in sorted((tmp_path / "scores").iterdir())]
    assert written == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stride", [1, 16, 30])
def test_written_scores_are_read_back_exactly(tmp_path: Path, seed: int, stride: int) -> None:
    rng = np.random.default_rng(seed)
    report = Report(
        Video("a/b #1", Path("v.mp4"), 30 * seed + 101, 30.0), track=track(list(rng.random(400).round(1)), stride)
    )
    files.write_results(tmp_path, RunResult({report.video.id: report}, {report.video.id: {}}), [])
    back = ReadScores(root=str(tmp_path / "scores"), field="refined", step=1, lowest=0.0, highest=1.0)(report).track
    assert back is not None
    assert report.track is not None
    n = report.video.n_frames
    np.testing.assert_array_equal(back.per_frame(n).values, report.track.per_frame(n).values)


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("Abuse028_x264", "Abuse028_x264.json"),
        ("v=JvRAr-q4nVw__#00-23-40_label_A", "v=JvRAr-q4nVw__#00-23-40_label_A.json"),
        ("my folder/clip (1)", "my folder%2Fclip (1).json"),
        ("100%", "100%25.json"),
        ("../up", "..%2Fup.json"),
    ],
)
def test_the_file_of_a_video_is_in_the_folder_for_any_id(tmp_path: Path, video: str, name: str) -> None:
    files.write_results(tmp_path, run_result(video), [])
    assert [p.name for p in (tmp_path / "scores").iterdir()] == [name]
    assert [p.name for p in (tmp_path / "reports").iterdir()] == [name]


def test_a_video_without_a_track_has_a_report_and_no_scores(tmp_path: Path) -> None:
    result = run_result()
    result.reports["v"] = replace(result.reports["v"], track=None)
    files.write_results(tmp_path, result, [])
    assert not (tmp_path / "scores").exists()
    assert (tmp_path / "reports" / "v.json").is_file()


def test_a_folder_with_nothing_but_hydras_files_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("outputs/plain/a", "outputs/plain/b"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / "run.log").touch()
    (tmp_path / "outputs/plain/b/metrics.json").touch()
    files.remove_unused(tmp_path / "outputs/plain/b")
    files.remove_unused(tmp_path / "outputs/plain/a")
    assert [entry.name for entry in (tmp_path / "outputs/plain").iterdir()] == ["b"]
    (tmp_path / "outputs/plain/b/metrics.json").unlink()
    files.remove_unused(tmp_path / "outputs/plain/b")
    files.remove_unused(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run.log").touch()
    files.remove_unused(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.log"]


def test_of_a_multirun_whose_jobs_leave_nothing_no_file_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for job in ("outputs/plain/sweep/0", "outputs/plain/sweep/1"):
        (tmp_path / job).mkdir(parents=True)
        (tmp_path / "outputs/plain/sweep/multirun.yaml").touch()
    files.remove_unused(tmp_path / "outputs/plain/sweep/0")
    assert (tmp_path / "outputs/plain/sweep/multirun.yaml").exists()
    files.remove_unused(tmp_path / "outputs/plain/sweep/1")
    assert list(tmp_path.iterdir()) == []
