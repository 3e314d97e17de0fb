"""Mistakes on the command line end in a sentence that says what to write instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import experiment

from vaa.choices import describe
from vaa.errors import ConfigError
from vaa.mistakes import hydra_arguments
from vaa.process import PROJECT_ROOT

HOME = os.path.expanduser("~")  # noqa: PTH111


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (
            ["method=corevad", "window=16"],
            ["window is a group", "Did you mean window.length=16?", describe("window").rstrip()],
        ),
        (["method=corevad", "position=0.3"], ["Did you mean position.width=0.3?"]),
        (["smoothing=gausian9"], ["Did you mean smoothing=gaussian9?", describe("smoothing").rstrip()]),
        (["smooting=none"], ["smooting=none: no such key. Did you mean smoothing?"]),
        (["vlm=gpt4"], ["Did you mean vlm=server vlm.model=gpt4?", describe("vlm").rstrip()]),
        (["vlm=tyni"], ["Did you mean vlm=tiny?"]),
        (["vlm=OpenGVLab/InternVL3-2B"], ["Did you mean vlm.checkpoint=OpenGVLab/InternVL3-2B?"]),
        (["data=/my/videos"], ["Did you mean data=folder data.root=/my/videos?"]),
        (["data=ucfcrime"], ["Did you mean data=ucf_crime?"]),
        (["prompt=/a/b.txt"], ["Did you mean prompt.file=/a/b.txt?"]),
        (["method=null"], ["method=null", describe("method").rstrip()]),
        (["method={a: 1}"], ["method={'a': 1}"]),
        (["window=[a,b]"], ["window=a", "window=b"]),
        (["experiment=urf_ucv"], ["Did you mean experiment=urf_ucf?"]),
        (["method=corevad", "window.lenght=16"], ["window.lenght=16", "Did you mean window.length?"]),
        (["method=corevad", "length=16"], ["Did you mean window.length?"]),
        (["method=corevad", "stages.window.length=16"], ["Did you mean window.length?"]),
        (["method=corevad", "window.length.x=3"], ["Did you mean window.length?"]),
        (["xyzzy=1"], ["xyzzy=1: no such key", "--cfg job"]),
        (["window.length=16"], ["window.length=16: no such key. Choose one of seconds, n_frames."]),
        (["prompt.parser._taget_=a.B"], ["Did you mean prompt.parser._target_?"]),
        (["~stages.nothing"], ["stages.nothing", "Choose one of window, ask"]),
        (["+window=frames30x8"], ["leave out the +"]),
        (["+alerts.gap=3"], ["leave out the +"]),
        (
            ["method=scored", "scores.root=.", "window=frames30x8"],
            ["method=scored has no window"],
        ),
        (["method=urf_localise", "data=stream"], ["data=stream: cannot be combined with method=urf_localise"]),
        (["window.length"], ["window.length: expected KEY=VALUE"]),
        (["window.length = 3"], ["window.length = 3: expected KEY=VALUE"]),
        (["data.root=it's (2)"], ["two pairs of quotes", "it'\"'\"'s (2)"]),
        (["limit=1,2"], ["limit=1,2", "add -m"]),
        (["vlm@x=tiny"], ["vlm@x"]),
        (["hydra/launcher=jobliib"], ["hydra/launcher/jobliib"]),
        (["hydra.run.dirr=x"], ["hydra.run.dirr"]),
        (["hydra.job.num=abc"], ["hydra.job.num=abc"]),
        (["-m", "smoothing=none,gausian9"], ["smoothing=gausian9"]),
        (
            ["-m", "method=corevad", "smoothing=none,filter10", "windo.length=3,4"],
            ["windo.length=3,4", "window.length"],
        ),
        (
            ["method=corevad", "smooting=none", "vlm=tyni", "windw.length=2"],
            ["smoothing?", "vlm=tiny", "window.length?"],
        ),
    ],
    ids=str,
)
def test_a_command_line_that_hydra_refuses_is_explained(args: list[str], expected: list[str]) -> None:
    text = experiment(args)
    assert isinstance(text, str)
    for part in expected:
        assert part in text
    for internal in ("LexerNoViable", "object_type", "Config search path", "To append to your", "struct"):
        assert internal not in text


@pytest.mark.parametrize(
    ("arg", "expanded"),
    [
        ("data.root=~/clips", f'data.root="{HOME}/clips"'),
        ("data.root=~", f'data.root="{HOME}"'),
        ("data.root=~/my clips", f'data.root="{HOME}/my clips"'),
        ('data.root="~/clips"', f'data.root="{HOME}/clips"'),
        ("data.root='~/clips'", f'data.root="{HOME}/clips"'),
        ("+x=[~/a,~/b]", f'+x=["{HOME}/a","{HOME}/b"]'),
        ("data.root=~/a,~/b", f'data.root="{HOME}/a","{HOME}/b"'),
        ("cache=~root/cache.sqlite", f'cache="{os.path.expanduser("~root")}/cache.sqlite"'),  # noqa: PTH111
        ("~stages.clean", "~stages.clean"),
        ("data.root=/a~b/~c", "data.root=/a~b/~c"),
        ("prompt.text='about ~5 of them'", "prompt.text='about ~5 of them'"),
        ("data.root=~nosuchuser/clips", "data.root=~nosuchuser/clips"),
        ("--config-dir=~/conf", "--config-dir=~/conf"),
    ],
)
def test_a_home_folder_is_expanded_in_every_value(arg: str, expanded: str) -> None:
    assert hydra_arguments([arg]) == [expanded]


def test_the_multirun_option_may_stand_between_overrides() -> None:
    assert hydra_arguments(["method=plain", "-m", "limit=1,2"]) == ["-m", "method=plain", "limit=1,2"]
    assert hydra_arguments(["--cfg", "job", "--multirun"]) == ["--multirun", "--cfg", "job"]


@pytest.mark.parametrize("root", ["~/clips", '"~/clips"'])
def test_the_home_folder_of_the_readme(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run = experiment(["data=folder"], [f"data.root={root}"])
    assert run.data.root == str(tmp_path / "clips")


def run_py(*args: str, **environment: str) -> tuple[int, str]:
    process = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "run.py"), *args],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return process.returncode, process.stdout + process.stderr


@pytest.mark.parametrize("args", [("window=16",), ("-m", "window.length=abc,def"), ("window=16", "--cfg", "job")])
def test_run_py_ends_with_status_2_and_no_traceback(tmp_path: Path, args: tuple[str, ...]) -> None:
    folders = (f"hydra.run.dir={tmp_path}", f"hydra.sweep.dir={tmp_path}")
    status, output = run_py(*folders, *args)
    assert status == ConfigError.exit_status
    assert "window" in output
    assert "Traceback" not in output
    assert "HYDRA_FULL_ERROR" not in output


def test_a_user_who_sets_hydra_full_error_sees_the_traceback() -> None:
    status, output = run_py("window=16", HYDRA_FULL_ERROR="1")
    assert status == 1
    assert "Traceback" in output
