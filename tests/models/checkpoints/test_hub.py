from __future__ import annotations

import logging
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_server import FakeServer
from hub_server import CONVERTED, Hub, serve_hub
from huggingface_hub import constants, snapshot_download
from transformers import AutoTokenizer

from vaa.errors import ModelError
from vaa.models.checkpoints import hub, weights
from vaa.models.checkpoints.hub import access_fault, find_checkpoint, hub_fault
from vaa.models.checkpoints.weights import checkpoint_identity
from vaa.models.transformers import loading


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "*")
    hub_fault.cache_clear()
    yield
    hub_fault.cache_clear()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")


def cached(folder: Path, source: Path) -> Path:
    """A checkpoint some/model in the hub's cache."""
    snapshot = folder / "hub/models--some--model/snapshots/abc"
    shutil.copytree(source, snapshot)
    (folder / "hub/models--some--model/refs").mkdir()
    (folder / "hub/models--some--model/refs/main").write_text("abc")
    return snapshot


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize(
    "name", ["missing", "no/such/folder", "/no/such", "./no", "../no", "~/no", "C:\\no", "a b/c", "ORG/", "/NAME"]
)
def test_what_is_neither_a_folder_nor_a_name_is_refused_without_a_request(name: str) -> None:
    with pytest.raises(ModelError, match=f"{re.escape(name)}': no such folder.*ORG/NAME"):
        loading.load(AutoTokenizer, name, None)
    assert hub_fault.cache_info().misses == 0


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="is a file: give the folder"):
        find_checkpoint(str(tmp_path / "model.safetensors"), None)


@pytest.mark.usefixtures("unreachable")
def test_without_a_network_one_message_says_how_to_go_on(caplog: pytest.LogCaptureFixture) -> None:
    start = time.monotonic()
    with pytest.raises(ModelError) as raised:
        loading.load(AutoTokenizer, "OpenGVLab/InternVL2-8B", None)
    assert time.monotonic() - start < 10
    for part in (
        "OpenGVLab/InternVL2-8B",
        "http://127.0.0.1:1: ConnectError",
        "HF_HUB_OFFLINE",
        "FOLDER",
        "vlm=server",
    ):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not caplog.records  # no retries


def test_a_hub_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "Timeout" in hub_fault()


def test_a_name_that_is_never_resolved_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(seconds: float, action: object) -> None:
        assert seconds == 2 * hub._TIMEOUT
        raise TimeoutError

    monkeypatch.delenv("HF_HUB_ETAG_TIMEOUT", raising=False)
    monkeypatch.setattr(hub, "run_with_timeout", late)
    assert hub_fault() == f"{constants.ENDPOINT}: TimeoutError"


@pytest.mark.parametrize(("status", "fault"), [(200, ""), (404, ""), (503, "HTTP 503")])
def test_a_hub_that_answers_is_reached(monkeypatch: pytest.MonkeyPatch, status: int, fault: str) -> None:
    server = FakeServer()
    try:
        monkeypatch.setattr(server, "head_status", status)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        assert hub_fault().endswith(fault)
        assert bool(hub_fault()) == bool(fault)
        if not fault:
            assert find_checkpoint("some/model", None) == "some/model"
    finally:
        server.close()


@pytest.mark.usefixtures("unreachable")
def test_without_a_network_a_cached_checkpoint_is_used_with_a_warning(
    internvl: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = cached(tmp_path, internvl)
    with caplog.at_level(logging.WARNING, "vaa"):
        assert find_checkpoint("some/model", None) == str(snapshot)
        loading.load(AutoTokenizer, "some/model", None)
    (message,) = (record.getMessage() for record in caplog.records)
    assert "some/model" in message
    assert str(snapshot) in message


def test_offline_mode_needs_the_cache(internvl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        find_checkpoint("some/model", None)
    cached(tmp_path, internvl)
    assert find_checkpoint("some/model", None) == "some/model"
    assert hub_fault.cache_info().misses == 0


def use(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does before huggingface_hub is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_the_identity_of_a_converted_repository_has_its_revision_online_and_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, file in (("plain", "pytorch_model.bin"), ("converted", "model.safetensors")):
        (tmp_path / folder).mkdir()
        for name in ("config.json", file):
            (tmp_path / folder / name).write_text("{}")
    with serve_hub({"some/model": tmp_path / "plain", "other/model": tmp_path / "converted"}) as server:
        server.converted["some/model"] = tmp_path / "converted"
        use(server, monkeypatch)
        weights._known_conversion.cache_clear()
        assert checkpoint_identity("some/model", None) == f"some/model@main {CONVERTED}"
        assert checkpoint_identity("some/model", "abc") == "some/model@abc"
        assert checkpoint_identity("other/model", None) == "other/model@main"
        snapshot_download("some/model", revision=CONVERTED)
        snapshot_download("some/model", allow_patterns="config.json")
    weights._known_conversion.cache_clear()
    hub_fault.cache_clear()
    assert checkpoint_identity("some/model", None) == f"some/model@main {CONVERTED}"  # the server is gone
    weights._known_conversion.cache_clear()


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("gated/model", None, "'gated/model' is gated: accept its licence on http.*HF_TOKEN"),
        ("no/model", None, "the hub has no 'no/model', or it is private and needs a token"),
        ("some/model", "v9", "'some/model' has no revision v9"),
        ("some/model", None, ""),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_whether_the_hub_gives_a_repository_is_known_before_a_download(
    name: str, revision: str | None, message: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with serve_hub({"some/model": tmp_path}) as server:
        server.gated["gated/model"] = status
        use(server, monkeypatch)
        assert re.fullmatch(f"{message}.*", access_fault(name, revision))
        assert bool(message) == bool(access_fault(name, revision))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert access_fault(name, revision) == ""
