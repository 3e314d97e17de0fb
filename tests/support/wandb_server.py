"""An HTTP server that starts runs as W&B's does, until a test makes it hang or drop connections."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "5eedc0de" * 5


class WandbServer:
    """`fault`: None, `hang` (no response), `drop` (each connection is closed), or a status."""

    def __init__(self) -> None:
        self.fault: str | int | None = None
        self.seen: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client was killed
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._http.server_port}"
        return {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: Any) -> dict[str, Any]:
        """The response that W&B's client needs to start a run, and to send its files."""
        query, variables = (
            (request.get("query", ""), request.get("variables")) if isinstance(request, dict) else ("", None)
        )
        if "upsertBucket" in query:
            project = {"id": "p", "name": "vaa", "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": "n", "config": "{}", "project": project}
            return {"data": {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}}
        if "createRunFiles(" in query:
            url = f"{self.environment['WANDB_BASE_URL']}/put"
            files = [{"name": name, "uploadUrl": url} for name in variables["files"]]
            return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}}
        return {"data": {}}


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def _do(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            server.seen.append(self.path)
            if server.fault == "hang":
                time.sleep(1000)
            if server.fault == "drop":
                self.close_connection = True
                return
            try:
                request = json.loads(content)
            except ValueError:
                request = None
            body = json.dumps(server.answer(request)).encode()
            self.send_response(server.fault if isinstance(server.fault, int) else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = _do  # noqa: N815, what the library calls

    return Handler
