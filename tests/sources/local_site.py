"""A publisher's site on 127.0.0.1 that can be told to misbehave, one request at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site(ThreadingHTTPServer):
    """Serves ``files`` (path → bytes) with byte ranges; ``faults`` are used up first, one a GET.

    A fault is a status, a redirection ("to …"), a wait in seconds (a float) in the middle of the file, "drop" (half of the bytes, then the connection closes), "ignore range" (the whole file
    whatever was asked for), or bytes sent in the file's place. ``requests`` lists the GETs: path, Range header.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: list[int | float | str | bytes] = []
        self.requests: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, str) and fault.startswith("to "):
            self.send_response(302)
            self.send_header("Location", fault.removeprefix("to "))
            self.end_headers()
            return
        content = self.server.files.get(self.path)
        if content is None or isinstance(fault, int):
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        content = fault if isinstance(fault, bytes) else content
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and fault != "ignore range" else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        half = len(rest) // 2
        if isinstance(fault, float):
            self.wfile.write(rest[:half])
            time.sleep(fault)
            rest = rest[half:]
        with suppress(ConnectionError):  # who waited may have gone
            self.wfile.write(rest[:half] if fault == "drop" else rest)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Site]:
    site = Site(files)
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        site.server_close()
