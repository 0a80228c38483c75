"""EC2's instance metadata service on 127.0.0.1: demands tokens, with notices and outages on demand."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INSTANCE_ID = "i-0123456789abcdef0"
SPOT = "spot/instance-action"
TARGET_STATE = "autoscaling/target-lifecycle-state"
REBALANCE = "events/recommendations/rebalance"
GROUP_TAG = "tags/instance/aws:autoscaling:groupName"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
SILENCE_SECONDS = 10


def moment(seconds: float) -> str:
    """So many seconds from now, as EC2 writes it."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


class FakeImds:
    """What the service says, and what it was asked.

    Attributes:
        url: where it is.
        values: what it holds, by path below `/latest/meta-data/`; bytes are sent as they are.
        headers: sent with each answer.
        statuses: of answers at these paths, instead of 200 or 404.
        token: what every token is; None makes a new one each time.
        broken: answers every request with status 503, as in the first seconds of a boot.
        silent: takes requests and answers none.
        asked: the paths of values that were asked for with a good token.
        tokens: how many it gave out.
        refused: how many requests came without a good one.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.values: dict[str, str | bytes] = {"instance-id": INSTANCE_ID}
        self.headers: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.token: str | None = None
        self.broken = self.silent = False
        self.asked: list[str] = []
        self.tokens = self.refused = 0
        self.over = threading.Event()
        self._good: set[str] = set()

    def announce_interruption(self, seconds: float = 120) -> str:
        """Give a Spot notice; returns its moment."""
        at = moment(seconds)
        self.values[SPOT] = f'{{"action": "terminate", "time": "{at}"}}'
        return at

    def recommend_rebalance(self) -> str:
        """Recommend it; returns the moment."""
        at = moment(0)
        self.values[REBALANCE] = f'{{"noticeTime": "{at}"}}'
        return at

    def forget_tokens(self) -> None:
        """As after a restart of the service: no token is good any more."""
        self._good.clear()

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, str | bytes]:
        """Status and body."""
        if self.silent:
            self.over.wait(SILENCE_SECONDS)
        if self.broken:
            return 503, "broken"
        if (method, path) == ("PUT", "/latest/api/token"):
            assert 1 <= int(headers[f"{TOKEN_HEADER}-ttl-seconds"]) <= 21_600
            self.tokens += 1
            self._good.add(token := self.token or uuid.uuid4().hex)
            return 200, token
        if headers[TOKEN_HEADER] not in self._good:
            self.refused += 1
            return 401, "no token"
        value = path.removeprefix("/latest/meta-data/")
        self.asked.append(value)
        status = self.statuses.get(value, 200 if value in self.values else 404)
        return status, self.values.get(value, "not there")


@contextmanager
def fake_imds(port: int = 0) -> Iterator[FakeImds]:
    """Serve on this port; 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            status, text = imds.answer(self.command, self.path, self.headers)
            body = text.encode() if isinstance(text, str) else text
            self.send_response(status)
            for name, value in imds.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_PUT = serve  # noqa: N815

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Askers that a test has killed, or that waited no longer, are no news."""

    server = Server(("127.0.0.1", port), Handler)
    imds = FakeImds(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield imds
    finally:
        imds.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
