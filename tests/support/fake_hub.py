"""A Hugging Face hub on 127.0.0.1: serves one folder under any name, or fails as it is told to."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Literal

COMMIT = "c0ffee" + "0" * 34
HANG_SECONDS = 3

Fault = Literal[
    "none",
    "503",
    "429",
    "500 on download",
    "no repository",
    "gated",
    "forbidden",
    "no file",
    "closed",
    "half a file",
    "another size",
    "captive portal",
    "silence",
]
_REFUSALS: dict[str, tuple[int, str]] = {
    "503": (503, ""),
    "429": (429, ""),
    "no repository": (401, "RepoNotFound"),
    "gated": (403, "GatedRepo"),
    "forbidden": (403, ""),
    "no file": (404, "EntryNotFound"),
}


class FakeHub(ThreadingHTTPServer):
    """The server; `fault` may change between two requests, `broken` is the file that it is about."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.fault: Fault = "none"
        self.broken = ""
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """What HF_ENDPOINT has to say."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub
    _PLAIN: ClassVar[dict[str, str]] = {"Content-Type": "text/html"}

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        hub, name = self.server, self.path.partition("?")[0].rpartition("/")[2]
        hub.requests.append(f"{self.command} {self.path}")
        fault = hub.fault if hub.broken in {"", name} else "none"
        path = hub.folder / name
        if fault == "silence":
            time.sleep(HANG_SECONDS)
            fault = "closed"
        if fault == "closed":
            self.close_connection = True
        elif fault == "captive portal":
            self._send(200, b"<html>Sign in to this network</html>", self._PLAIN)
        elif fault in _REFUSALS:
            self._refuse(*_REFUSALS[fault])
        elif fault == "500 on download" and self.command == "GET":
            self._refuse(500, "")
        elif not path.is_file():
            self._refuse(404, "EntryNotFound")
        else:
            self._send_file(path.read_bytes(), fault)

    def _refuse(self, status: int, code: str) -> None:
        said = {"X-Repo-Commit": COMMIT, **({"X-Error-Code": code} if code else {})}
        self._send(status, b"", said)

    def _send_file(self, body: bytes, fault: Fault) -> None:
        etag = hashlib.sha256(body).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "none"}
        if self.command == "GET" and fault == "another size":
            self._send(200, body[: len(body) // 2], headers)
        elif self.command == "GET" and fault == "half a file":
            self._send(200, body, headers, sent=len(body) // 2)
            self.close_connection = True
        else:
            self._send(200, body, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])


@contextmanager
def serve_hub(folder: Path) -> Iterator[FakeHub]:
    """Run it for a while."""
    hub = FakeHub(folder)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
