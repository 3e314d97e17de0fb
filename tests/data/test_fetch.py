from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vaa.data.fetch import check, fetch, main
from vaa.data.releases import RELEASES, Release
from vaa.errors import VaaError

CONF = Path(__file__).parents[2] / "conf"
WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(folder), *WHO, *arguments], check=True, capture_output=True, text=True)
    return run.stdout.strip()


def commit(work: Path, message: str) -> str:
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", message)
    return git(work, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> tuple[str, str, str]:
    """A bare repository like CoReVAD's; its first commit has what is expected, the next one has not."""
    work, bare = tmp_path / "work", tmp_path / "bare.git"
    for name in ("outputs/VLM_responses_LRC.json", "XD-Violence/xd_annotations.json"):
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text(json.dumps({"v": ["Normal scenes. A dog."]}))
    (work / "image").mkdir()
    (work / "image" / "large.png").write_bytes(b"large")
    git(work, "init", "-q")
    good = commit(work, "good")
    (work / "outputs" / "VLM_responses_LRC.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    (work / "XD-Violence" / "xd_annotations.json").unlink()
    bad = commit(work, "bad")
    git(tmp_path, "clone", "-q", "--bare", str(work), str(bare))
    git(bare, "config", "uploadpack.allowFilter", "true")  # as public hosts do
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    return bare.as_uri(), good, bad


COREVAD = RELEASES["corevad"]


@pytest.mark.parametrize("there", [False, True])
def test_a_release_comes_at_its_commit_without_what_is_not_wanted(
    repository: tuple[str, str, str], tmp_path: Path, there: bool
) -> None:
    url, good, _ = repository
    target = tmp_path / "deep" / "a folder"
    if there:
        target.mkdir(parents=True)
    lines = fetch(COREVAD, target, url, good)
    assert git(target, "rev-parse", "HEAD") == good
    assert (target / "outputs" / "VLM_responses_LRC.json").is_file()
    assert not (target / "image").exists()
    assert [shlex.split(line)[-1] for line in lines] == [f"vlm.root={target}/outputs"]


def test_a_path_serves_as_url(
    repository: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fetch(COREVAD, tmp_path / "target", "bare.git", repository[1])


def test_surroundings_of_another_repository_are_not_touched(
    repository: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.git"
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    fetch(COREVAD, tmp_path / "target", *repository[:2])
    assert (tmp_path / "target" / ".git").is_dir()
    assert not other.exists()


def test_what_came_is_checked_and_all_that_is_wrong_is_named(repository: tuple[str, str, str], tmp_path: Path) -> None:
    url, _, bad = repository
    with pytest.raises(VaaError) as error:
        fetch(COREVAD, tmp_path / "target", url, bad)
    assert "is not what was expected (another commit?)" in str(error.value)
    assert "XD-Violence/xd_annotations.json: 0 files, 1 expected" in str(error.value)
    assert "outputs/VLM_responses_LRC.json: is no JSON" in str(error.value)


@pytest.mark.parametrize("there", [False, True])
def test_a_commit_that_is_not_there_leaves_nothing_behind(
    repository: tuple[str, str, str], tmp_path: Path, there: bool
) -> None:
    target = tmp_path / "target"
    if there:
        target.mkdir()
    with pytest.raises(VaaError, match="cannot be had") as error:
        fetch(COREVAD, target, repository[0], "0" * 40)
    assert "git fetch:" in str(error.value)
    assert "(--commit)" in str(error.value)
    assert target.is_dir() == there
    assert not there or not list(target.iterdir())


def test_a_repository_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    with pytest.raises(VaaError, match="Is there a network, is the address right"):
        fetch(COREVAD, tmp_path / "target", (tmp_path / "nowhere.git").as_uri(), "0" * 40)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_a_target_in_use_is_left_alone(tmp_path: Path, what: str) -> None:
    target = tmp_path / "target"
    mine = target if what == "a file" else target / "mine"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(VaaError, match="is there and not empty"):
        fetch(COREVAD, target, "file:///nowhere", "0" * 40)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("url", "commit", "said"),
    [
        ("file:///x", "main", "40 hexadecimal"),
        ("file:///x", "--help", "40 hexadecimal"),
        ("--x", "0" * 40, "no address"),
    ],
)
def test_options_do_not_pass_for_addresses_and_commits(tmp_path: Path, url: str, commit: str, said: str) -> None:
    with pytest.raises(VaaError, match=said):
        fetch(COREVAD, tmp_path / "target", url, commit)


def test_without_git_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VaaError, match="There is no git here"):
        fetch(COREVAD, tmp_path / "target", "file:///nowhere", "0" * 40)


def test_the_command(repository: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, good, bad = repository
    assert main(["corevad", str(tmp_path / "a"), "--url", url, "--commit", good]) == 0
    said = capsys.readouterr().out
    assert f"corevad at {good}" in said
    assert (
        f"python run.py experiment=corevad_ucf_lavad data.root=URF/data/ucf_crime vlm.root={tmp_path}/a/outputs" in said
    )
    assert main(["corevad", str(tmp_path / "b"), "--url", url, "--commit", bad]) == 1
    assert "is not what was expected" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["vera", str(tmp_path / "c")])
    assert "vera: no commit of it is known here: name one with --commit" in capsys.readouterr().err


LINES = [pytest.param(line, id=line.split()[0]) for release in RELEASES.values() for line in release.commands]


@pytest.mark.parametrize("line", LINES)
def test_the_commands_it_prints_compose(line: str) -> None:
    overrides = line.format("/a folder")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", shlex.split(overrides.replace("/a folder", "'/a folder'")))
    for override in line.split()[1:]:
        key, value = override.split("=")
        assert OmegaConf.select(config, key) == value.format("/a folder")


def urf_of(release: Release) -> Release:
    """What the shared files hold of it: they lie without the folder `data`."""
    return replace(release, expected={name.removeprefix("data/"): n for name, n in release.expected.items()})


def test_what_the_authors_released_passes(shared: Path) -> None:
    check(urf_of(RELEASES["urf"]), shared / "recorded" / "urf")
