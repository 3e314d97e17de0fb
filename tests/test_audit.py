"""`make audit` against a real HTTP server that speaks as OSV does: a known fault fails, silence is said."""

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

HOUSE = Path(__file__).parents[1]
FAULT = {
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
            time.sleep(60)
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"vulns": [FAULT]} if asked["package"]["name"] == "wandb" else {}).encode()
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


def audit(folder: Path, url: str, pinned: str, seconds: int = 60) -> tuple[int, str]:
    file = folder / "pinned.txt"
    file.write_text(pinned)
    words = ["--requirement", str(file), "--service", "osv", "--osv-url", url, "--seconds", str(seconds)]
    done = subprocess.run([sys.executable, "tools/audit.py", *words], cwd=HOUSE, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_known_fault_fails_and_is_named_with_what_mends_it(osv: str, tmp_path: Path) -> None:
    status, said = audit(tmp_path, osv, "numpy==2.0.0\nwandb==0.31.0\n")
    assert status == 1, said
    assert "wandb 0.31.0: CVE-2026-1, GHSA-aaaa (mended in 0.32.0)" in said
    assert "osv knows of 1 faults in 2 pinned versions" in said


def test_where_none_is_known_it_passes(osv: str, tmp_path: Path) -> None:
    status, said = audit(tmp_path, osv, "numpy==2.0.0\n")
    assert (status, "osv knows of 0 faults in 1 pinned versions" in said) == (0, True), said


@pytest.mark.parametrize("how", ["nobody", "silence"])
def test_where_nobody_can_be_asked_it_says_so_and_ends(
    osv: str, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Osv, "hangs", how == "silence")
    began = time.monotonic()
    status, said = audit(tmp_path, osv if how == "silence" else "http://127.0.0.1:9/v1/query", "numpy==2.0.0\n", 6)
    assert (status, "NOT DONE: no service that knows of faults can be reached" in said) == (0, True), said
    assert time.monotonic() - began < 30


def test_an_audit_that_is_broken_fails(osv: str, tmp_path: Path) -> None:
    status, said = audit(tmp_path, osv, "numpy>=2\n")
    assert (status, "pip-audit itself failed" in said) == (2, True), said


def test_ci_and_make_run_it() -> None:
    assert "\nmake audit\n" in (HOUSE / ".ci/run").read_text()
    assert "tools/audit.py" in (HOUSE / "Makefile").read_text()
