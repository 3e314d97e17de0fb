"""Every W&B sweep: what its agent would run composes, is the multirun its comment names, and runs."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
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

HOUSE = Path(__file__).parents[1]
SWEEPS = sorted((HOUSE / "sweeps").glob("*.yaml"))


def read(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def grid(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What W&B's service hands out, point by point, in the form in which an agent gets it."""
    parameters = sweep["parameters"]
    values = [[p["value"]] if "value" in p else p["values"] for p in parameters.values()]
    return [
        {"args": {key: {"value": value} for key, value in zip(parameters, point, strict=True)}}
        for point in itertools.product(*values)
    ]


def points(sweep: Mapping[str, Any]) -> list[list[str]]:
    """The agent's own words for each point, for `${args_no_hyphens}`."""
    return [create_sweep_command_args(command)["args_no_hyphens"] for command in grid(sweep)]


def multiruns(file: Path) -> list[list[list[str]]]:
    """The jobs of each `python run.py -m` line of the comment, as Hydra splits them."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "python run.py -m" in line]
    parser = OverridesParser.create()
    asked = [parser.parse_overrides(shlex.split(line)[4:]) for line in lines]
    return [BasicSweeper.split_arguments(one, None)[0] for one in asked]


def composed(job: list[str]) -> Any:
    with initialize_config_dir(str(HOUSE / "conf"), version_base="1.3"):
        return compose("config", job)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_point_of_a_sweep_composes_and_changes_something(file: Path) -> None:
    sweep = read(file)
    assert sweep["program"] == "run.py"
    assert sweep["metric"]["name"] == "roc_auc"
    assert "${args_no_hyphens}" in sweep["command"]
    seen = []
    for job in points(sweep):
        config = composed(job)
        assert overrides.unused(OmegaConf.to_container(config), job, {"run", "doctor"}) == []
        parts = instantiate(config, _convert_="all")
        assert parts["data"].root == "outputs/synthetic"
        seen.append(OmegaConf.to_yaml(config, resolve=True))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_the_comment_names_the_same_multirun_and_one_on_real_data(file: Path, tmp_path: Path) -> None:
    same, real = multiruns(file)
    assert [sorted(job) for job in same] == [sorted(job) for job in points(read(file))]
    for job in real:
        config = composed([override.replace("=DIR", f"={tmp_path}") for override in job])
        assert config.data.root == str(tmp_path)
        assert "tiny" not in str(config.vlm.checkpoint)
        assert overrides.unused(OmegaConf.to_container(config), job, {"run", "doctor"}) == []


def test_the_questions_are_all_there() -> None:
    queries = {"window", "smoothing", "prompt", "backbone", "gate", "position", "refinement"}
    assert {file.stem for file in SWEEPS} == queries


@pytest.mark.slow
@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_an_agent_runs_the_ends_of_a_sweep(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By W&B's own agent, as if its service had handed the points out; only the data is made smaller."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_DIR"):
        monkeypatch.setenv(name, "")  # the agent sets them for its children; given back afterwards
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    sweep = read(file)
    sweep["parameters"] |= {"data.videos": {"value": 2}, "data.seconds": {"value": 20}}
    asked = grid(sweep)
    agent = Agent(api=None, queue=None)
    agent._sweep_command = sweep["command"]
    for number, command in enumerate((asked[0], asked[-1])):
        agent._command_run({**command, "run_id": f"run{number}", "program": str(HOUSE / sweep["program"])})
        assert agent._run_processes[f"run{number}"].wait() == 0
    found = [one for job in sorted((tmp_path / "outputs").glob("*/2*")) for one in read_back(job)]
    assert [one["run"].run_id for one in found] == ["run0", "run1"]
    for one, command in zip(found, (asked[0], asked[-1]), strict=True):
        assert {key: one["config"][key] for key in command["args"]} == {
            k: v["value"] for k, v in command["args"].items()
        }
        assert 0 <= one["summary"]["roc_auc"] <= 1
        assert (one["summary"]["videos"], one["summary"]["failed"], one["exit"]) == (2, 0, 0)
    metrics = [json.loads(file.read_text()) for file in sorted((tmp_path / "outputs").rglob("metrics.json"))]
    assert [m["roc_auc"] for m in metrics] == [one["summary"]["roc_auc"] for one in found]


def check_whole(job: Path, told: dict[str, Any]) -> None:
    """W&B's file of a job on labelled videos says what the job's own folder says."""
    metrics = json.loads((job / "metrics.json").read_text())
    assert {key: told["summary"][key] for key in metrics} == metrics
    truth = json.loads((job / "truth.json").read_text())["videos"]
    videos = {row["video"]: row for row in told["tables"]["videos"]}
    assert {video: row["class"] for video, row in videos.items()} == {v: t["class"] for v, t in truth.items()}
    roc = [(row["false_positive_rate"], row["true_positive_rate"]) for row in told["curves"]["roc_table"]]
    assert auc(*zip(*roc, strict=True)) == pytest.approx(metrics["roc_auc"], abs=1e-3)
    within = [row["auc"] for row in videos.values() if row["auc"] is not None]
    assert sum(within) / len(within) == pytest.approx(metrics["within_video_auc"])
    for video, row in videos.items():
        scores = json.loads((job / f"scores/{video}.json").read_text())
        assert row["max_score"] == pytest.approx(max(scores.values()), abs=1e-9)
        assert {row["scores"]["_type"], row["moment"]["_type"]} == {"image-file"}
    anomalous = {row["class"] for row in told["tables"]["classes"]}
    assert anomalous == {t["class"] for t in truth.values() if t["anomalous"]}
    assert len(told["tables"]["segments"]) == metrics["answers"]
    assert {"ask text", "ask score", "refine score"} <= told["tables"]["segments"][0].keys()
    assert [artifact["type"] for artifact in told["artifacts"]] == ["dataset", "answers", "scores"]
    assert told["artifacts"][2]["metadata"]["metrics"]["roc_auc"] == metrics["roc_auc"]


@pytest.mark.slow
def test_a_multirun_of_four_leaves_four_whole_runs(tmp_path: Path) -> None:
    choices = ["smoothing=none,gaussian9", "position.width=0.25,0.5"]
    command = [sys.executable, str(HOUSE / "run.py"), "-m", "data.videos=2", "data.seconds=20", "plots=false", *choices]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "WANDB_MODE": "offline"}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = (tmp_path / "outputs/corevad").iterdir()
    jobs = sorted(sweep.glob("[0-9]"))
    told = [one for job in jobs for one in read_back(job)]
    widths = [(smoothing, width) for smoothing in ("none", "gaussian9") for width in (0.25, 0.5)]
    assert [one["run"].display_name for one in told] == [f"smoothing={s},position.width={w}" for s, w in widths]
    assert [(one["config"]["smoothing"], one["config"]["position.width"]) for one in told] == widths
    assert len({one["summary"]["roc_auc"] for one in told}) == 4
    for job, one in zip(jobs, told, strict=True):
        assert one["run"].run_group == sweep.name
        check_whole(job, one)


def test_the_keys_of_a_multirun_are_read_where_hydra_keeps_them(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("run_py", HOUSE / "run.py")
    assert spec
    assert spec.loader
    spec.loader.exec_module(run_py := importlib.util.module_from_spec(spec))
    job = {"runtime": {"cwd": str(tmp_path)}, "sweep": {"dir": "sweep"}, "overrides": {"task": ["position.width=0.5"]}}
    job |= {"sweeper": {"params": None}}
    assert run_py.swept(OmegaConf.create(job)) == {}  # no multirun.yaml: nothing is known
    (tmp_path / "sweep").mkdir()
    asked = ["~stages.clean", "limit=3", "smoothing=none,gaussian9", "window.length=range(10,40,10)", "prompt=glob(*)"]
    whole = {"overrides": {"task": asked}, "sweeper": {"params": {"position.width": "choice(0.5,1)"}}}
    OmegaConf.save(OmegaConf.create({"hydra": whole}), tmp_path / "sweep/multirun.yaml")
    assert run_py.swept(OmegaConf.create(job)) == {
        "smoothing": ["none", "gaussian9"],
        "window.length": ["10", "20", "30"],
        "prompt": [],
        "position.width": ["0.5", "1"],
    }
