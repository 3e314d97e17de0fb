"""Where engine=ray puts Ray's files; no cluster is started."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from vaa.engines.ray import RayEngine
from vaa.errors import ConfigError

ENGINE = RayEngine(address=None, workers=2, gpus=None, cpus=0.5, chunk=4, attempts=2)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments with which Ray would be started; nothing is."""
    calls: list[dict[str, Any]] = []

    def init(address: str, **fields: Any) -> None:
        calls.append(fields)

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    return calls


SESSION = "/session_2026-01-31_12-00-00_000000_4194304/sockets/plasma_store.1"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (None, "/tmp/ray"),
        ("/scratch", "/scratch/ray"),
        ("/scratch/" + "long_name_of_a_job_" * 5, "/tmp/ray"),
        ("/" + "ü" * 20, "/tmp/ray"),  # 41 bytes
        ("/" + "j" * 36, "/" + "j" * 36 + "/ray"),
        ("/" + "j" * 37, "/tmp/ray"),
    ],
)
def test_a_long_tmpdir_is_not_used_for_sockets(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]], folder: str | None, expected: str
) -> None:
    if folder is not None:
        monkeypatch.setenv("TMPDIR", folder)
    ENGINE._connect()
    assert started[0]["_temp_dir"] == expected
    assert len(os.fsencode(expected + SESSION)) <= 107


def test_a_long_ray_tmpdir_is_refused_before_ray_starts(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/scratch/" + "long_name_of_a_job_" * 5)
    with pytest.raises(ConfigError, match=r"RAY_TMPDIR=.*at most \d+ bytes"):
        ENGINE._connect()
    assert started == []


def test_where_ray_cannot_start_here_the_message_is_not_about_a_cluster(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]]
) -> None:
    def init(address: str, **fields: Any) -> None:
        raise PermissionError(13, "Permission denied", "/scratch/ray")

    monkeypatch.setattr(sys.modules["ray"], "init", init)
    with pytest.raises(ConfigError, match="RAY_TMPDIR"):
        ENGINE._connect()
