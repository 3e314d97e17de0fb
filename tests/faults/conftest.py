from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import runs

from vaa.process import PROJECT_ROOT


@pytest.fixture(scope="session", autouse=True)
def _start_fork_server() -> None:
    """Start the process that runs are forked from; it imports vaa and these files like `python run.py`."""
    before, cwd = os.environ.get("PYTHONPATH"), Path.cwd()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT_ROOT), str(Path(__file__).parent)])
    os.chdir(PROJECT_ROOT)
    runs.CONTEXT.set_forkserver_preload(["preload"])
    runs.CONTEXT.Process(target=print).start()  # the first process starts the server
    os.chdir(cwd)
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The override with the folder of the videos, which the first run draws."""
    return f"data.cache_dir={tmp_path_factory.mktemp('videos')}"


@pytest.fixture(scope="session")
def urf_run(tmp_path_factory: pytest.TempPathFactory, rendered: str) -> runs.RunProcess:
    """An urf_run run of URF's three tasks."""
    return runs.run(tmp_path_factory.mktemp("urf"), "whole", *runs.URF, rendered)


@pytest.fixture(scope="session")
def corevad_run(tmp_path_factory: pytest.TempPathFactory, rendered: str) -> runs.RunProcess:
    """An urf_run run of CoReVAD, with its embeddings."""
    return runs.run(tmp_path_factory.mktemp("corevad"), "whole", *runs.COREVAD, rendered)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KiB, which can be remounted with another size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("Mounting a small file system needs root.")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
