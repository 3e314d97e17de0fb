"""`make audit` against a local HTTP server with OSV's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VULNERABILITY = {
    "id": "GHSA-aaaa",
    "aliases": ["CVE-2026-1"],
    "summary": "bad",
    "affected": [
        {
            "package": {"name": "wandb", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.32.0"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    hangs = False

    def do_POST(self) -> None:
        if type(self).hangs:
            time.sleep(600)
        query = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"vulns": [VULNERABILITY]} if query["package"]["name"] == "wandb" else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Osv, "hangs", False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(folder: Path, url: str, pinned: str, seconds: int = 300) -> tuple[int, str]:
    file = folder / "pinned.txt"
    file.write_text(pinned)
    args = ["--requirement", str(file), "--service", "osv", "--osv-url", url, "--seconds", str(seconds)]
    process = subprocess.run([sys.executable, "tools/audit.py", *args], cwd=ROOT, capture_output=True, text=True)
    return process.returncode, process.stderr


def test_a_known_vulnerability_fails_and_its_fix_is_named(osv: str, tmp_path: Path) -> None:
    status, output = audit(tmp_path, osv, "numpy==2.0.0\nwandb==0.31.0\n")
    assert status == 1, output
    assert "wandb 0.31.0: CVE-2026-1, GHSA-aaaa (fixed in 0.32.0)" in output
    assert "osv knows 1 vulnerabilities in 2 pinned versions" in output


def test_without_a_known_vulnerability_it_passes(osv: str, tmp_path: Path) -> None:
    status, output = audit(tmp_path, osv, "numpy==2.0.0\n")
    assert (status, "osv knows 0 vulnerabilities in 1 pinned versions" in output) == (0, True), output


@pytest.mark.parametrize("problem", ["refused", "no response"])
def test_an_unreachable_service_is_reported_and_passes(
    osv: str, tmp_path: Path, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Osv, "hangs", problem == "no response")
    start = time.monotonic()
    status, output = audit(
        tmp_path, osv if problem == "no response" else "http://127.0.0.1:9/v1/query", "numpy==2.0.0\n", 6
    )
    assert (status, "NOT DONE: no vulnerability service can be reached" in output) == (0, True), output
    assert time.monotonic() - start < 300  # half of what the service takes


def test_a_failure_of_pip_audit_fails(osv: str, tmp_path: Path) -> None:
    status, output = audit(tmp_path, osv, "numpy>=2\n")
    assert (status, "pip-audit itself failed" in output) == (2, True), output


def test_ci_and_make_run_the_audit() -> None:
    assert "\nmake audit\n" in (ROOT / ".ci/run").read_text()
    assert "tools/audit.py" in (ROOT / "Makefile").read_text()
