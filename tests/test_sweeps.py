"""Every W&B sweep composes, equals the multirun in its comment, and runs."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sklearn.metrics import auc
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args
from wandb.wandb_agent import Agent
from wandb_log import read_back

from vaa import overrides
from vaa.process import PROJECT_ROOT

SWEEPS = sorted((PROJECT_ROOT / "sweeps").glob("*.yaml"))


def read(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def grid(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points that W&B's service sends, in the form in which an agent gets them."""
    parameters = sweep["parameters"]
    values = [[p["value"]] if "value" in p else p["values"] for p in parameters.values()]
    return [
        {"args": {key: {"value": value} for key, value in zip(parameters, point, strict=True)}}
        for point in itertools.product(*values)
    ]


def points(sweep: Mapping[str, Any]) -> list[list[str]]:
    """The arguments that an agent puts in place of `${args_no_hyphens}`, for each point."""
    return [create_sweep_command_args(command)["args_no_hyphens"] for command in grid(sweep)]


def multiruns(file: Path) -> list[list[list[str]]]:
    """The jobs of each `python run.py -m` line in the comment, as Hydra splits them."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "python run.py -m" in line]
    parser = OverridesParser.create()
    commands = [parser.parse_overrides(shlex.split(line)[4:]) for line in lines]
    return [BasicSweeper.split_arguments(command, None)[0] for command in commands]


def compose_job(job: list[str]) -> Any:
    with initialize_config_dir(str(PROJECT_ROOT / "conf"), version_base="1.3"):
        return compose("config", job)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_the_points_of_a_sweep_compose_and_differ(file: Path) -> None:
    sweep = read(file)
    assert sweep["program"] == "run.py"
    assert sweep["metric"]["name"] == "roc_auc"
    assert "${args_no_hyphens}" in sweep["command"]
    configs = []
    for job in points(sweep):
        config = compose_job(job)
        assert overrides.unused(OmegaConf.to_container(config), job, {"run", "doctor"}) == []
        parts = instantiate(config, _convert_="all")
        assert parts["data"].cache_dir == "outputs/cache/synthetic"
        configs.append(OmegaConf.to_yaml(config, resolve=True))
    assert len(set(configs)) == len(configs)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_the_comment_has_the_same_multirun_and_one_on_real_data(file: Path, tmp_path: Path) -> None:
    same, real = multiruns(file)
    assert [sorted(job) for job in same] == [sorted(job) for job in points(read(file))]
    for job in real:
        config = compose_job([override.replace("=DIR", f"={tmp_path}") for override in job])
        assert config.data.root == str(tmp_path)
        assert "tiny" not in str(config.vlm.checkpoint)
        assert overrides.unused(OmegaConf.to_container(config), job, {"run", "doctor"}) == []


def test_there_are_seven_sweeps() -> None:
    names = {"window", "smoothing", "prompt", "backbone", "gate", "position", "refinement"}
    assert {file.stem for file in SWEEPS} == names


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gate", "position"])
def test_an_agent_runs_the_first_and_last_point_of_a_sweep(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With W&B's own agent, without its service, on smaller data; the other sweeps compose and instantiate (above)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for variable in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_DIR"):
        monkeypatch.setenv(variable, "")  # the agent changes them; monkeypatch restores them
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    sweep = read(PROJECT_ROOT / "sweeps" / f"{name}.yaml")
    sweep["parameters"] |= {"data.videos": {"value": 2}, "data.seconds": {"value": 20}}
    commands = grid(sweep)
    agent = Agent(api=None, queue=None)
    agent._sweep_command = sweep["command"]
    for number, command in enumerate((commands[0], commands[-1])):
        agent._command_run({**command, "run_id": f"run{number}", "program": str(PROJECT_ROOT / sweep["program"])})
        assert agent._run_processes[f"run{number}"].wait() == 0
    runs = [run for job in sorted((tmp_path / "outputs").glob("*/2*")) for run in read_back(job)]
    assert [run["run"].run_id for run in runs] == ["run0", "run1"]
    for run, command in zip(runs, (commands[0], commands[-1]), strict=True):
        assert {key: run["config"][key] for key in command["args"]} == {
            k: v["value"] for k, v in command["args"].items()
        }
        assert 0 <= run["summary"]["roc_auc"] <= 1
        assert (run["summary"]["videos"], run["summary"]["failed"], run["exit"]) == (2, 0, 0)
    metrics = [json.loads(file.read_text()) for file in sorted((tmp_path / "outputs").rglob("metrics.json"))]
    assert [m["roc_auc"] for m in metrics] == [run["summary"]["roc_auc"] for run in runs]


def check_run(job: Path, run: dict[str, Any]) -> None:
    """W&B's file of a job on labelled videos agrees with the job's folder."""
    metrics = json.loads((job / "metrics.json").read_text())
    assert metrics.pop("protocol") == run["config"]["protocol"]
    assert {key: run["summary"][key] for key in metrics} == metrics
    truth = json.loads((job / "truth.json").read_text())["videos"]
    videos = {row["video"]: row for row in run["tables"]["videos"]}
    assert {video: row["class"] for video, row in videos.items()} == {v: t["class"] for v, t in truth.items()}
    roc = [(row["false_positive_rate"], row["true_positive_rate"]) for row in run["curves"]["roc_table"]]
    assert auc(*zip(*roc, strict=True)) == pytest.approx(metrics["roc_auc"], abs=1e-3)
    within = [row["auc"] for row in videos.values() if row["auc"] is not None]
    assert sum(within) / len(within) == pytest.approx(metrics["within_video_auc"])
    for video, row in videos.items():
        scores = json.loads((job / f"scores/{video}.json").read_text())
        assert row["max_score"] == pytest.approx(max(scores.values()), abs=1e-9)
        assert {row["scores"]["_type"], row["peak"]["_type"]} == {"image-file"}
    anomalous = {row["class"] for row in run["tables"]["classes"]}
    assert anomalous == {t["class"] for t in truth.values() if t["anomalous"]}
    assert len(run["tables"]["segments"]) == metrics["answers"]
    assert {"query text", "query score", "refine score"} <= run["tables"]["segments"][0].keys()
    assert [artifact["type"] for artifact in run["artifacts"]] == ["dataset", "answers", "scores"]
    assert run["artifacts"][2]["metadata"]["metrics"]["roc_auc"] == metrics["roc_auc"]


@pytest.mark.slow
def test_a_multirun_of_four_jobs_writes_four_complete_runs(tmp_path: Path) -> None:
    choices = ["smoothing=none,gaussian9", "position.width=0.25,0.5"]
    command = [
        sys.executable,
        str(PROJECT_ROOT / "run.py"),
        "-m",
        "method=corevad",
        "data.videos=2",
        "data.seconds=20",
        "plots=false",
        *choices,
    ]
    process = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "WANDB_MODE": "offline"}, capture_output=True, text=True, timeout=900
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (sweep,) = (tmp_path / "outputs/corevad").iterdir()
    assert re.search(r"^job +smoothing +position.width +roc_auc ", process.stdout, re.MULTILINE)
    assert f"python -m vaa.compare {sweep.relative_to(tmp_path)}" in process.stdout
    jobs = sorted(sweep.glob("[0-9]"))
    runs = [run for job in jobs for run in read_back(job)]
    widths = [(smoothing, width) for smoothing in ("none", "gaussian9") for width in (0.25, 0.5)]
    assert [run["run"].display_name for run in runs] == [f"smoothing={s},position.width={w}" for s, w in widths]
    assert [(run["config"]["smoothing"], run["config"]["position.width"]) for run in runs] == widths
    assert len({run["summary"]["roc_auc"] for run in runs}) == 4
    for job, run in zip(jobs, runs, strict=True):
        assert run["run"].run_group == sweep.name
        check_run(job, run)
