from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vaa.data.fetch import RELEASES, Release, check, fetch, main
from vaa.errors import ConfigError, DataError
from vaa.types import GenerateQuery, Video

CONF = Path(__file__).parents[2] / "conf"
UCF_ANSWERS, XD_ANSWERS = "outputs/VLM_responses_LRC.json", "outputs/VLM_responses_LRC_xd.json"
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(folder), *IDENTITY, *arguments], check=True, capture_output=True, text=True)
    return run.stdout.strip()


def commit(work: Path, message: str) -> str:
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", message)
    return git(work, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> tuple[str, str, str]:
    """A bare repository like CoReVAD's: its address, a commit with the expected files, and one without them."""
    work, bare = tmp_path / "work", tmp_path / "bare.git"
    for name in (UCF_ANSWERS, XD_ANSWERS, "XD-Violence/xd_annotations.json"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(json.dumps({"v": [f"Normal scenes. {name}"]}))
    (work / "image").mkdir()
    (work / "image" / "large.png").write_bytes(b"large")
    git(work, "init", "-q")
    good = commit(work, "good")
    (work / "outputs" / "VLM_responses_LRC.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    (work / XD_ANSWERS).unlink()
    (work / "XD-Violence" / "xd_annotations.json").unlink()
    bad = commit(work, "bad")
    git(tmp_path, "clone", "-q", "--bare", str(work), str(bare))
    git(bare, "config", "uploadpack.allowFilter", "true")  # as public hosts do
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    return bare.as_uri(), good, bad


COREVAD = RELEASES["corevad"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_release_is_downloaded_at_its_commit_with_its_folders_only(
    repository: tuple[str, str, str], tmp_path: Path, exists: bool
) -> None:
    url, good, _ = repository
    target = tmp_path / "deep" / "a folder"
    if exists:
        target.mkdir(parents=True)
    commands = fetch(COREVAD, target, url, good)
    assert git(target, "rev-parse", "HEAD") == good
    assert (target / "outputs" / "VLM_responses_LRC.json").is_file()
    assert not (target / "image").exists()
    assert [f"vlm.root={target}/outputs" in shlex.split(line) for line in commands] == [True, True]


def test_the_commands_use_the_answers_for_their_data_set(repository: tuple[str, str, str], tmp_path: Path) -> None:
    """Both files are in one folder, and both match the default pattern."""
    query = GenerateQuery(
        purpose="verdict", video=Video("v", Path("v.mp4"), 30, 30.0), at=0, frames=(0,), text="", max_new_tokens=1
    )  # fmt: skip
    answers = []
    for line in fetch(COREVAD, tmp_path / "target", *repository[:2]):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", shlex.split(line)[2:])
        answers += [config.data.name, *instantiate(config.vlm).generate([query])]
    assert answers == [
        "ucf_crime", f"Normal scenes. {UCF_ANSWERS}", "xd_violence", f"Normal scenes. {XD_ANSWERS}",
    ]  # fmt: skip


def test_a_command_is_printed_only_where_its_files_are(repository: tuple[str, str, str], tmp_path: Path) -> None:
    release = replace(COREVAD, expected={}, optional={"image": "never", "outputs": "limit=1"})
    commands = fetch(release, tmp_path / "target", repository[0], repository[1])
    assert commands[len(COREVAD.commands) :] == ("python run.py limit=1",)


def test_the_prompts_are_written_where_the_release_has_them(
    tmp_path: Path, repository: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    url, good, _ = repository
    assert not any("prompt.file=" in line for line in fetch(COREVAD, tmp_path / "without", url, good))
    assert "P_VLM_format.txt" in caplog.text
    (tmp_path / "work" / "P_VLM_format.txt").write_text("Look: [$Data]")
    with_prompt = commit(tmp_path / "work", "prompt")
    for name in (UCF_ANSWERS, XD_ANSWERS, "XD-Violence/xd_annotations.json"):
        (tmp_path / "work" / name).write_text("{}")
    with_prompt = commit(tmp_path / "work", "answers")
    git(tmp_path / "work", "push", "-q", str(tmp_path / "bare.git"), "HEAD")
    commands = fetch(COREVAD, tmp_path / "with", url, with_prompt)
    file = tmp_path / "with" / "prompts" / "verdict.txt"
    assert file.read_text() == "Look: [$frames\n]"
    assert f"python run.py method=corevad prompt.file={file}" in commands


def test_the_address_may_be_a_path(
    repository: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fetch(COREVAD, tmp_path / "target", "bare.git", repository[1])


def test_git_variables_of_another_repository_are_ignored(
    repository: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.git"
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    fetch(COREVAD, tmp_path / "target", *repository[:2])
    assert (tmp_path / "target" / ".git").is_dir()
    assert not other.exists()


def test_all_unexpected_files_are_reported(repository: tuple[str, str, str], tmp_path: Path) -> None:
    url, _, bad = repository
    with pytest.raises(DataError) as error:
        fetch(COREVAD, tmp_path / "target", url, bad)
    assert "another commit?" in str(error.value)
    assert "XD-Violence/xd_annotations.json: 0 files, 1 expected" in str(error.value)
    assert "outputs/VLM_responses_LRC.json: is not JSON" in str(error.value)


@pytest.mark.parametrize("exists", [False, True])
def test_after_an_unknown_commit_the_target_is_as_before(
    repository: tuple[str, str, str], tmp_path: Path, exists: bool
) -> None:
    target = tmp_path / "target"
    if exists:
        target.mkdir()
    with pytest.raises(DataError, match="0" * 40) as error:
        fetch(COREVAD, target, repository[0], "0" * 40)
    assert "git fetch:" in str(error.value)
    assert "(--commit)" in str(error.value)
    assert target.is_dir() == exists
    assert not exists or not list(target.iterdir())


def test_a_repository_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--url"):
        fetch(COREVAD, tmp_path / "target", (tmp_path / "nowhere.git").as_uri(), "0" * 40)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_a_target_in_use_does_not_change(tmp_path: Path, what: str) -> None:
    target = tmp_path / "target"
    mine = target if what == "a file" else target / "mine"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(ConfigError, match="target"):
        fetch(COREVAD, target, "file:///nowhere", "0" * 40)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("url", "commit", "message"),
    [
        ("file:///x", "main", "--commit"),
        ("file:///x", "--help", "--commit"),
        ("--x", "0" * 40, "--url"),
    ],
)
def test_options_are_not_accepted_as_addresses_and_commits(tmp_path: Path, url: str, commit: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fetch(COREVAD, tmp_path / "target", url, commit)


def test_without_git_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="git is not installed"):
        fetch(COREVAD, tmp_path / "target", "file:///nowhere", "0" * 40)


def test_the_command(repository: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, good, bad = repository
    assert main(["corevad", str(tmp_path / "a"), "--url", url, "--commit", good]) == 0
    out = capsys.readouterr().out
    assert f"corevad at {good}" in out
    assert (
        f"python run.py experiment=corevad_ucf_lavad data.root=URF/data/ucf_crime vlm.root={tmp_path}/a/outputs"
        " vlm.verdict=VLM_responses_LRC\n" in out
    )
    assert main(["corevad", str(tmp_path / "b"), "--url", url, "--commit", bad]) == DataError.exit_status
    assert "another commit?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["vera", str(tmp_path / "c")])
    assert "vera: no commit is pinned here: give one with --commit" in capsys.readouterr().err


LINES = [
    pytest.param(line, id=line.split()[0])
    for release in RELEASES.values()
    for line in (*release.commands, *release.optional.values())
]


@pytest.mark.parametrize("line", LINES)
def test_the_commands_it_prints_compose(line: str) -> None:
    overrides = line.format("/a folder")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", shlex.split(overrides.replace("/a folder", "'/a folder'")))
    for override in line.split()[1:]:
        key, value = override.split("=")
        assert OmegaConf.select(config, key) == value.format("/a folder")


def without_data_folder(release: Release) -> Release:
    """The release as the shared files have it: without the folder `data`."""
    return replace(release, expected={name.removeprefix("data/"): n for name, n in release.expected.items()})


def test_the_authors_files_pass_the_check(shared: Path) -> None:
    check(without_data_folder(RELEASES["urf"]), shared / "recorded" / "urf")
