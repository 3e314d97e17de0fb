"""An HTTP server with a scripted part of OpenAI's protocol."""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image


@dataclass
class Reply:
    """A response; with `half` the connection breaks in the middle of the body, with `silent` nothing is sent."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    half: bool = False
    silent: bool = False


def completion(content: Any, finish: str = "stop", logprobs: Any = None, **message: Any) -> Reply:
    choice = {
        "index": 0,
        "finish_reason": finish,
        "logprobs": logprobs,
        "message": {"role": "assistant", "content": content, **message},
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "fake", "choices": [choice], "usage": usage}
    return Reply(body=body)


def error(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"error": {"message": message, "type": "some", "param": None, "code": code}}, names)


def top_logprobs(**logprobs: float) -> dict[str, Any]:
    top = [{"token": token, "logprob": value, "bytes": None} for token, value in logprobs.items()]
    return {"content": [{"token": top[0]["token"], "logprob": top[0]["logprob"], "bytes": None, "top_logprobs": top}]}


def server_model(url: str, **fields: Any) -> Any:
    """A ServerModel with four requests at a time; `fields` replace its other fields."""
    from vaa.generation import GenerationConfig
    from vaa.models.server.model import ServerModel

    defaults: dict[str, Any] = {"allow_http": False, "model": "fake", "revision": None, "api_key_env": None}
    defaults |= {"concurrency": 4, "timeout": 60, "retries": 2}
    defaults |= {"generation": GenerationConfig(temperature=0, top_p=None, top_k=None, seed=None)}
    defaults |= {"token_limit": "max_tokens", "extra": {}, "logprobs": True, "image_format": "png", "max_side": None}
    return ServerModel(**{**defaults, "base_url": url, "decoder": "decord", **fields})


def images(body: dict[str, Any]) -> list[np.ndarray]:
    """The images of a request as arrays."""
    content = body["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))) for url in urls]


class _HttpServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeServer:
    """Answers by `script` (request body, number of earlier requests with this body) and records the requests.

    `max_concurrent` is the largest number of requests at one time.
    """

    def __init__(self) -> None:
        self.script: Callable[[dict[str, Any], int], Reply] = lambda body, before: completion("fine")
        self.other_paths = False  # answered by the script too, as vLLM's /tokenize; else 404
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.models: Any = {"object": "list", "data": [{"id": "fake"}, {"id": "other"}]}
        self.head_status = 200
        self.closing = threading.Event()
        self.max_concurrent, self._concurrent, self._lock = 0, 0, threading.Lock()
        self._http = _HttpServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def respond(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        with self._lock:
            before = self.bodies.count(body)
            self.bodies.append(body)
            self.headers.append(headers)
            self._concurrent += 1
            self.max_concurrent = max(self.max_concurrent, self._concurrent)
        try:
            return self.script(body, before)
        finally:
            with self._lock:
                self._concurrent -= 1

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler's own self is below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not (server.other_paths or self.path.endswith("/chat/completions")):
                    self._send(error(404, "no such page"))
                    return
                self._send(server.respond(body, {k.lower(): v for k, v in self.headers.items()}))

            def do_GET(self) -> None:
                self._send(Reply(body=server.models) if server.models else error(404, "no such page"))

            def do_HEAD(self) -> None:
                self.send_response(server.head_status)
                self.end_headers()

            def _send(self, reply: Reply) -> None:
                if reply.silent:
                    server.closing.wait(600)
                    self.close_connection = True
                    return
                raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw[: len(raw) // 2] if reply.half else raw)
                self.close_connection |= reply.half

            def log_message(self, *args: Any) -> None:
                pass

        return Handler
