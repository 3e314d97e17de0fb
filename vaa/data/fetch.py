"""Download what authors released, from their public repositories, at a pinned commit.

`python -m vaa.data.fetch urf|corevad|vera|lavad|probe TARGET [--url URL] [--commit COMMIT]`

The authors' prompts are written into `TARGET/prompts` (`vaa/data/prompt_files.py`).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vaa.data.prompt_files import (
    Prompts,
    corevad_prompts,
    lavad_prompts,
    probe_prompts,
    urf_prompts,
    vera_prompts,
    write_prompts,
)
from vaa.errors import ConfigError, DataError, OutputError, VaaError
from vaa.installation import command_name

log = logging.getLogger("vaa")

_GIT_VARIABLES = ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "NAMESPACE", "PREFIX")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A repository, the folders to check out, the files they contain (pattern -> how many), and commands that use them.

    `commit` is None where none is known: the user has to give one. `{0}` in a command is the target folder. `optional`
    has further commands, by the path that each needs: they are printed where it exists. `prompts` makes the authors'
    prompts of the files.
    """

    url: str
    commit: str | None
    folders: tuple[str, ...]
    expected: Mapping[str, int]
    commands: tuple[str, ...]
    prompts: Callable[[Path], Prompts]
    optional: Mapping[str, str] = field(default_factory=dict)


RELEASES = {
    "urf": Release(
        url="https://github.com/Rathgrith/NeurIPS_2025-URF-ZS-HVAA.git",
        commit="66d11a70bcee2c9820092d49e303f975e280da67",
        folders=("data", "scripts", "src"),
        expected={
            "data/ucf_crime/annotations/test.txt": 1,
            "data/ucf_crime/annotations/Temporal*.txt": 1,
            "data/ucf_crime/annotations/Test_annotation_aligned.pkl": 1,
            "data/ucf_crime/captions/video_llama3_json_results/*.json": 290,
            "data/ucf_crime/scores/videollama3/*_x264.json": 290,
            "data/ucf_crime/scores/videollama3/suspicious_part_phrases.json": 1,
            "data/ucf_crime/refined_scores/videollama3/*_x264.json": 290,
            "data/ucf_crime/localisations/predicted_bboxes_*_prior.json": 3,
            "data/ucf_crime/understanding/*.json": 3,
            "data/ucf_crime/video_summaries.json": 1,
            "data/xd_violence/annotations/test.txt": 1,
            "data/xd_violence/annotations/temporal*.txt": 1,
            "data/xd_violence/refined_scores/videollama3_7B/*label*.json": 800,
            "data/xd_violence/understanding/*.json": 3,
            "data/xd_violence/video_summaries.json": 1,
        },
        commands=(
            "experiment=urf_ucf data.root={0}/data/ucf_crime",
            "experiment=urf_ucf_replay data.root={0}/data/ucf_crime"
            " vlm.captions=video_llama3_json_results vlm.scores=videollama3"
            " llm.scores=videollama3 llm.refined_scores=videollama3",
            "experiment=urf_xd data.root={0}/data/xd_violence",
            "experiment=urf_ucf_boxes_tags data.root={0}/data/ucf_crime vlm.scores=videollama3",
            "experiment=urf_ucf_texts_urf data.root={0}/data/ucf_crime vlm.scores=videollama3",
        ),
        optional={
            "data/MSAD/refined_scores/videollama3_7B": "experiment=urf_msad data.root={0}/data/MSAD",
            "data/UBNormal/refined_scores/videollama3_7B": "experiment=urf_ubnormal data.root={0}/data/UBNormal",
            "prompts/rate_system.txt": "method=urf_full prompt.rate.system_file={0}/prompts/rate_system.txt"
            " prompt.rerate.system_file={0}/prompts/rerate_system_ucf_crime.txt"
            " prompt.tags.system_file={0}/prompts/tags_system.txt prompt.tags.file={0}/prompts/tags.txt"
            " prompt.box.file={0}/prompts/box.txt prompt.box_any.file={0}/prompts/box_any.txt"
            " prompt.understand.system_file={0}/prompts/understand_system.txt"
            " prompt.understand.file={0}/prompts/understand.txt",
        },
        prompts=urf_prompts,
    ),
    "corevad": Release(
        url="https://github.com/Muk-00/CoReVAD.git",
        commit="ebd3941ce23e4789c6392b5f35cddbd69bdc8355",
        folders=("outputs", "XD-Violence"),
        expected={"outputs/VLM_responses_LRC.json": 1, "XD-Violence/xd_annotations.json": 1},
        commands=(
            "experiment=corevad_ucf_lavad data.root=URF/data/ucf_crime vlm.root={0}/outputs"
            " vlm.verdict=VLM_responses_LRC",
        ),
        optional={
            "outputs/VLM_responses_LRC_xd.json": "experiment=corevad_xd data.root=URF/data/xd_violence"
            " vlm.root={0}/outputs protocol.labels={0}/XD-Violence/xd_annotations.json",
            "prompts/verdict.txt": "method=corevad prompt.file={0}/prompts/verdict.txt",
        },
        prompts=corevad_prompts,
    ),
    "vera": Release(
        url="https://github.com/vera-framework/VERA.git",
        commit=None,
        folders=("Data",),
        expected={"Data/UCF_Eval.json": 1, "Data/xd_test_800.json": 1},
        commands=(
            "experiment=corevad_ucf data.root=URF/data/ucf_crime vlm.root=COREVAD/outputs"
            " vlm.verdict=VLM_responses_LRC protocol.labels={0}/Data/UCF_Eval.json",
        ),
        optional={
            "prompts/verdict_ucf.txt": "method=vera prompt.file={0}/prompts/verdict_ucf.txt",
            "prompts/verdict_xd.txt": "method=vera prompt.file={0}/prompts/verdict_xd.txt",
        },
        prompts=vera_prompts,
    ),
    "lavad": Release(
        url="https://github.com/lucazanella/lavad.git",
        commit="49c478aa675f87a48730a76ae0efcd3f48741580",
        folders=("slurm",),
        expected={"slurm/*/04_query_llm.sh": 2},
        commands=(),
        optional={
            f"prompts/rate_system_{name}.txt": "method=lavad"
            f" prompt.summarise.system_file={{0}}/prompts/summarise_system_{name}.txt"
            f" prompt.rate.system_file={{0}}/prompts/rate_system_{name}.txt"
            for name in ("ucf", "xd")
        },
        prompts=lavad_prompts,
    ),
    "probe": Release(
        url="https://github.com/yvestine/Probe-VAD.git",
        commit="5d705bb9b0f808012be690700b7b876cc7ceb03d",
        folders=("probe_vad", "results/ucf_crime", "results/xd_violence", "results/msad"),
        expected={"probe_vad/scoring.py": 1, "probe_vad/utils.py": 1},
        commands=(),
        optional={
            **{
                f"results/{folder}/scores": f"experiment=probe_{name} data.root={{0}}/results/{folder}"
                for name, folder in (("ucf", "ucf_crime"), ("xd", "xd_violence"), ("msad", "msad"))
            },
            "prompts/threshold.txt": "method=probe prompt.system_file={0}/prompts/threshold_system.txt"
            " prompt.file={0}/prompts/threshold.txt",
        },
        prompts=probe_prompts,
    ),
}


def fetch(release: Release, target: Path, url: str, commit: str) -> tuple[str, ...]:
    """Download a release into the folder `target` and check it; returns command lines that use it.

    Raises:
        ConfigError: the commit or the address is invalid, or the target is in use.
        DataError: git is missing, the commit cannot be downloaded, or files are missing in it.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ConfigError(f"--commit {commit}: give a commit by its 40 hexadecimal digits.")
    if url.startswith("-"):
        raise ConfigError(f"--url {url}: not an address.")
    if shutil.which("git") is None:
        raise DataError("git is not installed. Install it (apt-get install git), then run this again.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} exists and is not empty. Give a new folder, or remove it first.")
    existed = target.is_dir()
    try:
        _checkout(release, target, url, commit)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if existed:
            target.mkdir(exist_ok=True)
        raise
    check(release, target)
    try:
        write_prompts(target, release.prompts)
    except DataError as error:
        log.warning("The authors' prompts are not written: %s", error)
    further = [command for path, command in release.optional.items() if (target / path).exists()]
    return tuple(f"{command_name()} {_fill_in(command, target.resolve())}" for command in (*release.commands, *further))


def check(release: Release, target: Path) -> None:
    """Compare the files with those that are expected.

    Raises:
        DataError: files are missing, or are not JSON; the message lists them.
    """
    problems: list[str] = []
    for pattern, number in release.expected.items():
        files = sorted(target.glob(pattern))
        if len(files) != number:
            problems.append(f"{pattern}: {len(files)} files, {number} expected")
        problems += [f"{file.relative_to(target)}: {reason}" for file in files if (reason := _why_unusable(file))]
    if problems:
        raise DataError(f"{target} has other content (another commit?):\n  " + "\n  ".join(problems[:20]))


def _checkout(release: Release, target: Path, url: str, commit: str) -> None:
    """One commit, without history, and only the release's folders of it."""
    target.mkdir(parents=True, exist_ok=True)
    _git(target, "init", "--quiet", "--template=")
    _git(target, "remote", "add", "origin", str(Path(url).resolve()) if Path(url).exists() else url)
    _git(target, "sparse-checkout", "set", *release.folders)
    try:
        _git(target, "fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
        _git(target, "checkout", "--quiet", "--detach", commit)
    except DataError as error:
        raise DataError(
            f"{url} at {commit} cannot be downloaded:\n  {error}\nIs there a network connection, is the address right "
            "(--url), and is this commit in that repository (--commit)?"
        ) from error


def _git(folder: Path, *arguments: str) -> None:
    """Run git on this repository only, without prompts; a connection that stalls for a minute is closed."""
    ignored = {f"GIT_{name}" for name in _GIT_VARIABLES}
    environment = {key: value for key, value in os.environ.items() if key not in ignored}
    options = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "core.symlinks=false")
    run = subprocess.run(
        ["git", "-C", str(folder), *options, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment | {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"},
    )
    if run.returncode:
        raise DataError(f"git {arguments[0]}: {run.stderr.strip() or f'status {run.returncode}'}")


def _why_unusable(file: Path) -> str | None:
    if file.suffix != ".json":
        return None if file.stat().st_size else "is empty"
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"is not JSON: {error}"
    return None


def _fill_in(command: str, target: Path) -> str:
    return " ".join(shlex.quote(word.format(target)) for word in command.split(" "))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaa.data.fetch", description=str(__doc__).splitlines()[0])
    parser.add_argument("name", choices=sorted(RELEASES), help="whose release")
    parser.add_argument("target", type=Path, help="a folder that does not exist yet, or is empty")
    parser.add_argument("--url", help="another address of the repository: a mirror, a local clone")
    parser.add_argument("--commit", help="another commit, by its 40 hexadecimal digits")
    args = parser.parse_args(arguments)
    release = RELEASES[args.name]
    commit = args.commit or release.commit
    if commit is None:
        parser.error(f"{args.name}: no commit is pinned here: give one with --commit (see {release.url}).")
    try:
        commands = fetch(release, args.target, args.url or release.url, commit)
    except VaaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"{args.target}: {error}\n")
        return OutputError.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 130
    sys.stdout.write(f"{args.target} has {args.name} at {commit}. To use it:\n  " + "\n  ".join(commands) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
