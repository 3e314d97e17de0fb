"""Sources that drop, come back, or are still being written."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FRAMES, FPS = 100, 10  # of the file `transport`


@contextmanager
def serve(parts: Sequence[bytes]) -> Iterator[str]:
    """The address of an HTTP server that answers each request with the next part, without a length; after that, 503."""
    remaining = list(parts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            part = remaining.pop(0) if remaining else None
            self.send_response(200 if part else 503)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(part or b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/camera.ts"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def growing_file(path: Path, content: bytes, steps: int) -> Iterator[None]:
    """Write a file in steps, one every 50 ms; it starts with half of the first."""
    step, done = len(content) // steps + 1, threading.Event()
    path.write_bytes(content[: step // 2])

    def write() -> None:
        for at in range(step // 2, len(content), step):
            if done.wait(0.05):
                return
            with path.open("ab") as file:
                file.write(content[at : at + step])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
