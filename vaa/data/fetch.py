"""Get what authors released, from their public repositories, at a pinned commit.

`python -m vaa.data.fetch urf|corevad|vera TARGET [--url URL] [--commit COMMIT]`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vaa.data.releases import RELEASES, Release
from vaa.errors import VaaError

_OTHERS = ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "NAMESPACE", "PREFIX")


def fetch(release: Release, target: Path, url: str, commit: str) -> tuple[str, ...]:
    """Bring the release into `target` and check it; the command lines that use it.

    Raises:
        VaaError: there is no git, the target is in use, the repository or the commit cannot be had, or files lack.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise VaaError(f"--commit {commit}: name a commit by its 40 hexadecimal digits.")
    if url.startswith("-"):
        raise VaaError(f"--url {url}: this is no address.")
    if shutil.which("git") is None:
        raise VaaError("There is no git here. Install it (apt-get install git), then run this again.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise VaaError(f"{target} is there and not empty. Name a new folder, or remove it first.")
    was_there = target.is_dir()
    try:
        _checkout(release, target, url, commit)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if was_there:
            target.mkdir(exist_ok=True)
        raise
    check(release, target)
    return tuple(f"python run.py {_filled(command, target.resolve())}" for command in release.commands)


def check(release: Release, target: Path) -> None:
    """Hold what came against what is expected.

    Raises:
        VaaError: files are missing, or are no JSON; all of them are named.
    """
    wrong: list[str] = []
    for pattern, number in release.expected.items():
        files = sorted(target.glob(pattern))
        if len(files) != number:
            wrong.append(f"{pattern}: {len(files)} files, {number} expected")
        wrong += [f"{file.relative_to(target)}: {reason}" for file in files if (reason := _unusable(file))]
    if wrong:
        raise VaaError(f"{target} is not what was expected (another commit?):\n  " + "\n  ".join(wrong[:20]))


def _checkout(release: Release, target: Path, url: str, commit: str) -> None:
    """One commit, without history, of it only the folders that are wanted."""
    target.mkdir(parents=True, exist_ok=True)
    _git(target, "init", "--quiet", "--template=")
    _git(target, "remote", "add", "origin", str(Path(url).resolve()) if Path(url).exists() else url)
    _git(target, "sparse-checkout", "set", *release.folders)
    try:
        _git(target, "fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
        _git(target, "checkout", "--quiet", "--detach", commit)
    except VaaError as error:
        raise VaaError(
            f"{url} at {commit} cannot be had:\n  {error}\nIs there a network, is the address right (--url), and is "
            "this commit in that repository (--commit)?"
        ) from error


def _git(folder: Path, *arguments: str) -> None:
    """Run git on this repository alone, asking nobody; a connection that brings nothing for a minute is given up."""
    environment = {key: value for key, value in os.environ.items() if key not in {f"GIT_{other}" for other in _OTHERS}}
    slow = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "core.symlinks=false")
    run = subprocess.run(
        ["git", "-C", str(folder), *slow, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"},
    )
    if run.returncode:
        raise VaaError(f"git {arguments[0]}: {run.stderr.strip() or f'status {run.returncode}'}")


def _unusable(file: Path) -> str | None:
    if file.suffix != ".json":
        return None if file.stat().st_size else "is empty"
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"is no JSON: {error}"
    return None


def _filled(command: str, target: Path) -> str:
    return " ".join(shlex.quote(word.format(target)) for word in command.split(" "))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m vaa.data.fetch", description=str(__doc__).splitlines()[0])
    parser.add_argument("name", choices=sorted(RELEASES), help="whose release")
    parser.add_argument("target", type=Path, help="a folder that is not there yet, or empty")
    parser.add_argument("--url", help="another address of the repository: a mirror, a local clone")
    parser.add_argument("--commit", help="another commit, by its 40 hexadecimal digits")
    given = parser.parse_args(arguments)
    release = RELEASES[given.name]
    commit = given.commit or release.commit
    if commit is None:
        parser.error(f"{given.name}: no commit of it is known here: name one with --commit (see {release.url}).")
    try:
        lines = fetch(release, given.target, given.url or release.url, commit)
    except (VaaError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{given.target} holds {given.name} at {commit}. To use it:\n  " + "\n  ".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
