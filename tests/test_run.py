"""run.py in its own process, on real files, with the authors' numbers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wandb_log import read_back

from vaa.prompts.parsers import VerdictParser

ROOT = Path(__file__).parents[1]


def run(folder: Path, *overrides: str, status: int | set[int] = 0, wandb: str = "disabled") -> str:
    command = [sys.executable, str(ROOT / "run.py"), *overrides]
    environment = {**os.environ, "WANDB_MODE": wandb, "HF_HUB_OFFLINE": "1"}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert process.returncode in (status if isinstance(status, set) else {status}), process.stdout + process.stderr
    return process.stdout + process.stderr


def metrics(folder: Path) -> list[dict[str, float]]:
    """The metrics of all jobs in a working folder, oldest first."""
    files = sorted((folder / "outputs").rglob("metrics.json"), key=lambda file: file.stat().st_mtime_ns)
    return [json.loads(file.read_text()) for file in files]


@pytest.fixture
def corevad(shared: Path) -> list[str]:
    recorded = shared / "recorded"
    return [
        "method=corevad",
        "data=ucf_crime",
        f"data.root={recorded / 'urf/ucf_crime'}",
        "vlm=recorded",
        f"vlm.root={recorded / 'corevad'}",
        "~stages.clean",
        "~stages.refine",
        "plots=false",
        "page=null",
    ]


@pytest.mark.parametrize(
    ("data", "scores", "expected"),
    [
        ("ucf_crime", "scores/videollama3", (0.819491, 0.347909, 290, 1_111_808, 0.0759)),
        ("ucf_crime", "refined_scores/videollama3", (0.843562, 0.361548, 290, 1_111_808, 0.0759)),
        ("xd_violence", "refined_scores/videollama3_7B", (0.913386, 0.680671, 800, 2_335_801, 0.2310)),
    ],
)
def test_released_scores_give_the_published_numbers(
    tmp_path: Path, shared: Path, data: str, scores: str, expected: tuple[float, ...]
) -> None:
    root = shared / "recorded/urf" / data
    files = [f"scores.root={root / scores}", f"data.root={root}"]
    run(tmp_path, "method=scored", "smoothing=filter10", f"data={data}", *files)
    (values,) = metrics(tmp_path)
    assert round(values["roc_auc"], 6) == expected[0]
    assert round(values["pr_auc"], 6) == expected[1]
    assert (values["videos"], values["frames"]) == expected[2:4]
    assert round(values["anomalous_share"], 4) == expected[4]
    assert (values["unparsed"], values["failed"], values["model_queries"]) == (0, 0, 0)
    if scores == "refined_scores/videollama3":
        assert round(values["threshold_youden"], 6) == 0.191784
        assert round(values["threshold_f1"], 6) == 0.384271


def test_released_scores_unsmoothed_and_weighted_by_position(tmp_path: Path, shared: Path) -> None:
    root = shared / "recorded/urf/ucf_crime"
    scores = f"scores.root={root / 'refined_scores/videollama3'}"
    choices = ["smoothing=none,filter10", "position=none,centre"]
    run(
        tmp_path,
        "-m",
        "method=scored",
        scores,
        "data=ucf_crime",
        f"data.root={root}",
        "plots=false",
        "page=null",
        *choices,
    )
    values = [(round(m["roc_auc"], 6), round(m["pr_auc"], 4)) for m in metrics(tmp_path)]
    assert [values[0][0], *values[2:]] == [0.744822, (0.843562, 0.3615), (0.854230, 0.3868)]


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("lavad", [0.737515, 0.754799, 0.805422, 0.813191]),
        ("vera", [0.743790, 0.761608, 0.817015, 0.825148]),
    ],
)
def test_released_answers_give_all_four_rows(
    tmp_path: Path, shared: Path, corevad: list[str], protocol: str, expected: list[float]
) -> None:
    labels = [] if protocol == "lavad" else [f"protocol.labels={shared / 'recorded/vera/UCF_Eval.json'}"]
    run(tmp_path, "-m", *corevad, f"protocol={protocol}", *labels, "smoothing=none,gaussian9", "position=none,centre")
    assert [round(job["roc_auc"], 6) for job in metrics(tmp_path)] == expected


def test_removing_a_stage_equals_choosing_none(tmp_path: Path, corevad: list[str]) -> None:
    run(tmp_path, *corevad, "~stages.smooth", "~stages.position")
    (values,) = metrics(tmp_path)
    assert round(values["roc_auc"], 6) == 0.737515
    assert (values["answers"], values["model_queries"]) == (37_188, 37_188)


def test_written_scores_are_read_back_unchanged(tmp_path: Path, corevad: list[str]) -> None:
    run(tmp_path, *corevad, "limit=20")
    (job,) = (tmp_path / "outputs/corevad").iterdir()
    overrides = ["method=scored", f"scores.root={job / 'scores'}", *corevad[1:3], "limit=20"]
    run(tmp_path, *overrides)
    first, second = metrics(tmp_path)
    assert first["roc_auc"] == second["roc_auc"]
    assert first["pr_auc"] == second["pr_auc"]


@pytest.fixture
def tiny(internvl: Path, clip_checkpoint: Path) -> list[str]:
    return [
        *("vlm=internvl", f"vlm.checkpoint={internvl}", "vlm.dtype=float32", "vlm.device_map=cpu"),
        *("encoder=clip_vit_b16", f"encoder.checkpoint={clip_checkpoint}", "encoder.device_map=cpu"),
        *(
            "method=corevad",
            "prompt.max_new_tokens=4",
            "max_unparsed=1",
            "cache=memo.sqlite",
            "plots=false",
            "page=null",
        ),
    ]


def test_a_sweep_of_later_stages_queries_the_model_once_and_logs_four_runs(
    tmp_path: Path, shared: Path, tiny: list[str]
) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(shared / "videos/car_accident.mp4", tmp_path / "clips")
    choices = ["smoothing=none,gaussian9", "position.width=0.25,0.5"]
    run(tmp_path, "-m", "data=folder", "data.root=clips", *tiny, *choices, wandb="offline")
    jobs = metrics(tmp_path)
    assert [(job["model_queries"], job["cache_hits"]) for job in jobs] == [(4, 0), *[(0, 4)] * 3]
    assert [job["embedding_queries"] > 0 for job in jobs] == [True, False, False, False]
    (sweep,) = (tmp_path / "outputs/corevad").iterdir()
    runs = [entry for job in sorted(sweep.glob("[0-9]")) for entry in read_back(job)]
    assert [entry["run"].run_group for entry in runs] == [sweep.name] * 4
    names = [f"smoothing={smoothing},position.width={w}" for smoothing in ("none", "gaussian9") for w in (0.25, 0.5)]
    assert [entry["run"].display_name for entry in runs] == names
    assert [entry["config"]["smoothing"] for entry in runs] == ["none", "none", "gaussian9", "gaussian9"]
    assert [entry["config"]["position.width"] for entry in runs] == [0.25, 0.5, 0.25, 0.5]
    assert len({entry["artifacts"][1]["digest"] for entry in runs}) == 1  # the answers
    assert [entry["summary"]["model_queries"] for entry in runs] == [4, 0, 0, 0]
    assert {"unparsed", "failed", "seconds/query"} <= runs[0]["summary"].keys()
    assert [len(entry["tables"]["videos"]) for entry in runs] == [1] * 4
    assert [entry["tables"]["videos"][0]["peak"]["_type"] for entry in runs] == ["image-file"] * 4
    assert runs[0]["config"]["git_commit"]


def test_another_window_sends_only_new_queries(tmp_path: Path, shared: Path, tiny: list[str]) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(shared / "videos/car_accident.mp4", tmp_path / "clips")
    run(tmp_path, "-m", "data=folder", "data.root=clips", *tiny, "window.length=30,60,30")
    assert [job["model_queries"] for job in metrics(tmp_path)] == [4, 2, 0]


def test_all_stages_of_corevad_on_real_clips_and_a_broken_one(tmp_path: Path, shared: Path, tiny: list[str]) -> None:
    clips = tmp_path / "clips"
    shutil.copytree(shared / "videos", clips)
    (clips / "broken.mp4").write_bytes((shared / "videos/robbery.mp4").read_bytes()[:3000])
    output = run(tmp_path, "data=folder", "data.root=clips", *tiny, "window.length=120", status=3, wandb="offline")
    assert "broken" in output
    (values,) = metrics(tmp_path)
    assert (values["videos"], values["failed"], "roc_auc" in values) == (3, 1, False)
    (job,) = (tmp_path / "outputs/corevad").iterdir()
    (failure,) = json.loads((job / "failures.json").read_text())
    assert failure["video"] == "broken"
    assert failure["stage"] == "data"
    report = json.loads((job / "reports/car_accident.json").read_text())
    stages = ["window", "query", "readout", "clean", "score", "refine", "smooth", "round", "frames", "position"]
    assert list(report["stages"]) == stages
    assert {file.stem for file in (job / "scores").iterdir()} == {"car_accident", "earthquake", "robbery"}
    (logged,) = read_back(job)
    assert logged["exit"] == 3
    assert logged["summary"]["failed"] == 1
    assert (logged["summary"]["failed_share"], logged["summary"]["unparsed_share"]) == (0.25, values["unparsed_share"])
    assert (logged["config"]["max_failed"], logged["config"]["max_unparsed"]) == (0, 1)
    assert logged["summary"]["failures"][0].startswith("broken (data): ")


def test_a_run_with_too_many_unparsed_answers_fails(tmp_path: Path, shared: Path, tiny: list[str]) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(shared / "videos/car_accident.mp4", tmp_path / "clips")
    overrides = (*(field for field in tiny if field != "page=null"), "max_unparsed=0.5")
    output = run(tmp_path, "data=folder", "data.root=clips", *overrides, status=4, wandb="offline")
    assert "4 of 4 answers could not be parsed" in output
    assert VerdictParser.form in output
    (values,) = metrics(tmp_path)
    assert (values["unparsed"], values["unparsed_share"]) == (4, 1)
    (job,) = (tmp_path / "outputs/corevad").iterdir()
    assert (
        "4 of 4 answers could not be parsed, more than max_unparsed=0.5: the metrics"
        in (job / "report.html").read_text()
    )
    (logged,) = read_back(job)
    assert (logged["exit"], logged["summary"]["unparsed"], logged["config"]["max_unparsed"]) == (4, 4, 0.5)
    assert "4 of 4 answers could not be parsed" in logged["summary"]["error"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["smoothing=typo"], "gaussian9"),
        (["window.secnds=16"], "window.secnds"),
        (["method=scored", "scores.root=.", "window=frames30x8"], "window"),
        (["data=folder", "data.root=missing"], "data.root=missing: no such folder"),
        (["data=folder", "data.root=."], "no video in it"),
        (["data=folder"], "data.root"),
        (["method=scored", "scores.root=missing", "data=folder", "data.root=."], "scores.root=missing: no such folder"),
        (["window.seconds=0"], "seconds=0"),
        (["refinement=softmax", "refinement.temperature=0"], "temperature=0 must be above 0"),
        (["~stages.smooth", "smoothing=none"], "smoothing=none: has no effect"),
        (["details=false"], "page=null"),
        (["online.delay=1"], "online.delay=1: has no effect"),
        (["~stages.nothing"], "stages.nothing"),
        (["protocol=vera", "protocol.labels=missing.json"], "protocol.labels=missing.json: no such file"),
        (["wandb.mode=loud"], "wandb.mode=loud"),
    ],
)
def test_a_wrong_override_gives_an_error_without_a_traceback(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    output = run(tmp_path, *overrides, status={1, 2, 5})  # 1: Hydra refused it
    assert message in output
    assert "Traceback" not in output


def test_help_lists_every_group_and_choice_on_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = run(tmp_path, "--help")
    for group in (ROOT / "conf").iterdir():
        if group.is_dir() and group.name != "run":
            assert f"  {group.name} " in text
            assert {file.stem for file in group.glob("*.yaml")} <= set(text.split())
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) <= 60


def test_help_of_a_group_describes_each_choice(tmp_path: Path) -> None:
    text = run(tmp_path, "--help", "smoothing")
    for file in (ROOT / "conf/smoothing").glob("*.yaml"):
        assert f"{file.stem} " in text
        assert file.read_text().splitlines()[0].removeprefix("# ") in text


EXPERIMENTS = [file for file in sorted((ROOT / "conf/experiment").glob("*.yaml")) if "# expected:" in file.read_text()]


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_gives_the_number_in_its_comment(tmp_path: Path, shared: Path, file: Path) -> None:
    text, recorded = file.read_text(), shared / "recorded"
    (expected,) = (line for line in text.splitlines() if line.startswith("# expected:"))
    urf = recorded / "urf" / ("xd_violence" if "xd" in file.stem else "ucf_crime")
    known = {
        "data.root": recorded / "vadtree/MSAD" if "vadtree" in file.stem else urf,
        "vlm.root": recorded / "corevad",
        "protocol.labels": recorded / "vera/UCF_Eval.json",
    }
    (command,) = (line for line in text.splitlines() if "python run.py" in line)
    roots = [f"{key}={path}" for key, path in known.items() if f"{key}=" in command]
    run(tmp_path, f"experiment={file.stem}", *roots, "plots=false", "page=null")
    (values,) = metrics(tmp_path)
    for pair in expected.removeprefix("# expected:").split(","):
        name, value = pair.split()
        if name == "meteor" and values[name] is None:
            pytest.skip("no WordNet: python -m nltk.downloader wordnet, or apt-get install wordnet-base")
        assert round(values[name], 6) == float(value)


def test_the_doctor_reports_what_a_run_needs_and_runs_nothing(tmp_path: Path) -> None:
    output = run(tmp_path, "doctor=true")
    assert "TransformersVLM vaa/tiny/checkpoints/vlm" in output
    assert "fits" in output
    assert re.search(r"vaa/tiny/checkpoints/vlm: \d+ queries x .* s = about .* TFLOP/s", output)
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_says_what_a_run_without_a_network_lacks(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    overrides = ("vlm=internvl2", "data=folder", "data.root=clips", "doctor=true")
    output = run(tmp_path, *overrides, status=2)
    assert "HF_HUB_OFFLINE forbids downloading it" in output
    assert [entry.name for entry in tmp_path.iterdir()] == ["clips"]


SHORT = ["data.videos=2", "data.seconds=20", "wandb.mode=disabled", "cache=memo.sqlite"]


def test_the_built_in_models_detect_the_built_in_anomalies(tmp_path: Path) -> None:
    run(tmp_path, *SHORT)
    (first,) = metrics(tmp_path)
    assert first["roc_auc"] > 0.6
    assert (first["videos"], first["answers"], first["unparsed"]) == (2, 0, 0)
    assert first["model_queries"] >= 14
    (job,) = (tmp_path / "outputs/watch").iterdir()
    assert (job / "overview.png").stat().st_size > 10_000
    assert json.loads((job / "notices.json").read_text()) == []
    run(tmp_path, *SHORT, "method=corevad", "readout=probability")
    second = metrics(tmp_path)[-1]
    assert (second["model_queries"], second["cache_hits"]) == (28, 0)
    assert second["roc_auc"] > 0.6


def test_all_three_tasks_of_urf_with_the_built_in_models(tmp_path: Path) -> None:
    run(tmp_path, "experiment=urf_tiny", *SHORT)
    (values,) = metrics(tmp_path)
    assert {"roc_auc", "tiou", "tiou_per_video", "bleu_sum", "cider", "rouge_l", "gated"} <= values.keys()
    assert values["described"] == 2
    assert values["failed"] == 0


@pytest.mark.long
def test_the_built_in_models_on_other_videos_give_a_notice(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(shared / "videos/car_accident.mp4", tmp_path / "clips")
    output = run(tmp_path, "data=folder", "data.root=clips", "cache=memo.sqlite")
    assert "its answers about other videos mean nothing" in output
    (job,) = (tmp_path / "outputs/watch").iterdir()
    assert "vlm=internvl" in json.loads((job / "notices.json").read_text())[0]
