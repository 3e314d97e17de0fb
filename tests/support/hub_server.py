"""A stand-in for the Hugging Face hub: repositories are folders, served under the hub's own addresses."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>refs/pr/1|[^/]+)/(?P<file>.+)")
_API = re.compile(
    r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree|commits)/(?P<revision>refs/pr/1|[^/]+)(?P<rest>/.+)?)?/?"
)
_DISCUSSIONS = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/discussions(?P<revision>)")
CONVERTED = "refs/pr/1"
"""The revision of a repository in `converted`."""


@dataclass
class Hub:
    """What the server has, and how it behaves.

    `repos`: name -> folder; `converted`: name -> the folder of what the hub's converter proposes. `gated`: name -> the
    status of each request about it, 401 or 403. `renamed`: old -> new name. `cut`: file name -> the bytes after which
    its transfer breaks off, once. `requests`: all so far, "METHOD path".
    """

    repos: dict[str, Path] = field(default_factory=dict)
    converted: dict[str, Path] = field(default_factory=dict)
    gated: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def serve_hub(repos: Mapping[str, Path]) -> Iterator[Hub]:
    """Serve these repositories on this machine until the block ends."""
    hub = Hub(repos=dict(repos))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        match = _FILE.fullmatch(path) or _DISCUSSIONS.fullmatch(path) or _API.fullmatch(path)
        if match is None:
            self._send(200 if path == "/" else 404, b"")
            return
        name = match["repo"]
        if name in self.hub.renamed:
            self._send(307, b"", {"Location": self.path.replace(name, self.hub.renamed[name])})
        elif name in self.hub.gated:
            status = self.hub.gated[name]
            self._send(status, b"Access to this model is restricted.", {"X-Error-Code": "GatedRepo"})
        elif (folder := self._folder(name, match["revision"])) is None:
            code = "RevisionNotFound" if name in self.hub.repos else "RepoNotFound"
            self._send(404, b"Not found", {"X-Error-Code": code})
        elif match.re is _FILE:
            self._send_file(folder / match["file"], _commit(name, match["revision"]), with_body)
        elif match.groupdict().get("rest"):  # a folder
            self._send(404, b"Not found", {"X-Error-Code": "EntryNotFound"})
        elif match.re is _DISCUSSIONS:
            proposals = [_PROPOSAL] * (name in self.hub.converted)
            self._send_json({"discussions": proposals, "count": len(proposals), "start": 0})
        else:
            self._send_json(_listing(name, folder, match["what"], match["revision"]))

    def _folder(self, name: str, revision: str | None) -> Path | None:
        if revision in (CONVERTED, _commit(name, CONVERTED)):
            return self.hub.converted.get(name)
        return self.hub.repos.get(name) if revision in (None, "", "main", _commit(name, None)) else None

    def _send_json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send_file(self, path: Path, commit: str, with_body: bool) -> None:
        headers = {"X-Repo-Commit": commit}
        if not path.is_file():
            self._send(404, b"Not found", headers | {"X-Error-Code": "EntryNotFound"})
            return
        content = path.read_bytes()
        headers |= {"ETag": f'"{_etag(path)}"', "Accept-Ranges": "bytes"}
        first = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(first[1]) if first else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if start else 200)
        for key, value in (headers | {"Content-Length": str(len(content) - start)}).items():
            self.send_header(key, value)
        self.end_headers()
        if not with_body:
            return
        limit = self.hub.cut.pop(path.name, None)
        self.wfile.write(content[start:limit])
        if limit is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The requests are in the hub's list."""


def _commit(name: str, revision: str | None) -> str:
    """The commit of a revision; a commit is a revision too."""
    if revision and re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    text = f"{name} {revision}" if revision == CONVERTED else name
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _listing(name: str, folder: Path, what: str | None, revision: str | None) -> object:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    if what == "tree":
        return [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _etag(f)} for f in files]
    if what == "commits":
        commits = [_commit(name, revision)] * (revision == CONVERTED) + [_commit(name, None)]
        about = {"authors": [], "date": "2026-01-01T00:00:00.000Z", "title": "", "message": ""}
        return [{"id": commit, **about} for commit in commits]
    content = {"id": name, "modelId": name, "sha": _commit(name, revision), "private": False, "tags": []}
    return content | {"siblings": [{"rfilename": file.name} for file in files]}


_PROPOSAL = {
    "num": 1,
    "title": "Adding `safetensors` variant of this model",
    "status": "open",
    "isPullRequest": True,
    "author": {"name": "SFconvertbot"},
    "createdAt": "2026-01-01T00:00:00.000Z",
    "repo": {"name": "", "type": "model"},
}


def _etag(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
