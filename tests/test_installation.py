"""The installed package: what the wheel holds, how `vaa` runs from an empty folder, and a user's own `conf/`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command_line import experiment

from vaa import choices, installation
from vaa.command import _with_search_path
from vaa.errors import ConfigError
from vaa.process import PROJECT_ROOT

SMALL = ["method=corevad", "data=synthetic", "data.videos=1", "data.seconds=10", "plots=false", "page=null"]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a choice of its own."""
    (tmp_path / "conf/smoothing").mkdir(parents=True)
    (tmp_path / "conf/smoothing/mine.yaml").write_text(
        "# My own smoothing.\n_target_: vaa.stages.scores.GaussianSmooth\nsigma: ??? # how wide, as in 3\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_installed_package_runs_in_an_empty_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT_ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, empty, program = tmp_path / "site", tmp_path / "empty", tmp_path / "bin/vaa"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "vaa = vaa.command:main" in archive.read(entry_points).decode()
    conf = {file.relative_to(PROJECT_ROOT / "conf"): file.read_bytes() for file in PROJECT_ROOT.glob("conf/**/*.yaml")}
    assert {file.relative_to(site / "vaa/conf"): file.read_bytes() for file in site.glob("vaa/conf/**/*.yaml")} == conf
    assert (site / "vaa/py.typed").is_file()
    assert {entry.name for entry in site.iterdir() if not entry.name.endswith(".dist-info")} == {"vaa"}

    if shutil.which("git"):  # a repository of the user's, with the environment in it
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        for command in (["init"], [*identity, "commit", "--allow-empty", "--message=first"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    for folder in (empty, program.parent):
        folder.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom vaa.command import main\n\nmain()\n")
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(site), "WANDB_MODE": "disabled"}
    environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"

    def run(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command], cwd=empty, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    run(" ".join(["vaa", *SMALL, "hydra.run.dir=first"]))
    assert {entry.name for entry in empty.iterdir()} == {"first", "outputs"}
    assert (empty / "first/rerun.sh").read_text() == f'#!/bin/sh\ncd {empty} && vaa {" ".join(SMALL)} "$@"\n'
    assert json.loads((empty / "first/environment.json").read_text())["commit"] is None
    assert "vaa.data.folder" in run("vaa data=folder data.root=x --cfg job")
    assert "usage: vaa " in run("vaa --help")


def test_choices_of_the_working_directory_are_listed_and_explained(own_folder: Path) -> None:
    assert installation.search_path() == [f'hydra.searchpath=["file://{own_folder}/conf"]']
    assert choices.choices("smoothing")["mine"] == "My own smoothing."
    assert "mine" in choices.help_text(["--help"])
    text = experiment(["smoothing=mien"])
    assert isinstance(text, str)
    assert "smoothing=mine?" in text


@pytest.mark.parametrize(
    ("args", "position"),
    [([], 0), (["--cfg", "job"], 2), (["limit=3", "--cfg", "job"], 0), (["-m", "~stages.clean", "limit=3"], 1)],
    ids=str,
)
def test_hydra_finds_them_wherever_options_stand(own_folder: Path, args: list[str], position: int) -> None:
    (added,) = installation.search_path()
    assert _with_search_path(args) == [*args[:position], added, *args[position:]]
    assert _with_search_path(["hydra.searchpath=[]"]) == ["hydra.searchpath=[]"]


def test_a_file_that_has_the_name_of_one_of_vaa_is_refused_unless_it_is_the_same(own_folder: Path) -> None:
    copy = own_folder / "conf/smoothing/gaussian9.yaml"
    copy.write_bytes((installation.CONF / "smoothing/gaussian9.yaml").read_bytes())
    choices.check_own_conf()
    copy.write_text("sigma: 3\n")
    with pytest.raises(ConfigError, match=r"conf/smoothing/gaussian9\.yaml"):
        choices.check_own_conf()


def test_in_a_clone_its_conf_is_not_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    assert installation.search_path() == []


@pytest.mark.parametrize(
    ("started", "checkout", "name"),
    [("/a/run.py", True, "python run.py"), ("/bin/vaa", True, "vaa"), ("/a/fetch.py", False, "vaa")],
)
def test_messages_name_the_command_that_works(
    monkeypatch: pytest.MonkeyPatch, started: str, checkout: bool, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr(installation, "CHECKOUT", checkout)
    assert installation.command_name() == name
    assert f"usage: {name} [" in choices.help_text(["--help"])
