from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import runs

sys.path.append(str(runs.HOUSE / "tests/models"))  # the fake server


@pytest.fixture(scope="session", autouse=True)
def _forge() -> None:
    """The process that runs are forked from; it finds vaa and these files as `python run.py` would."""
    before, cwd = os.environ.get("PYTHONPATH"), Path.cwd()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(runs.HOUSE), str(Path(__file__).parent)])
    os.chdir(runs.HOUSE)
    runs.CONTEXT.set_forkserver_preload(["warm"])
    runs.CONTEXT.Process(target=print).start()  # starts it
    os.chdir(cwd)
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The videos, drawn once."""
    return f"data.root={tmp_path_factory.mktemp('world')}"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, world: str) -> runs.Started:
    """URF's three tasks without any harm."""
    return runs.run(tmp_path_factory.mktemp("undisturbed"), "whole", *runs.URF, world)


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory, world: str) -> runs.Started:
    """CoReVAD, with its embeddings, without any harm."""
    return runs.run(tmp_path_factory.mktemp("verdicts"), "whole", *runs.COREVAD, world)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, 160 KiB large; it can be remounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("A small disk of its own takes the right to mount one (root).")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
