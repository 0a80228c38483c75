"""Something on 127.0.0.1 that answers like AWS, or like what stands in its way, as a test scripts it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.support.http_server import http_server

PORTAL = b"<html><head><title>Sign in</title></head><body>Welcome to our network</body></html>"


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def call(self) -> str:
        """The operation of a service of the JSON protocol, for example ReceiveMessage."""
        return self.headers.get("X-Amz-Target", "").rpartition(".")[2]


@dataclass(frozen=True)
class Answer:
    """What is answered; `date` is the header of that name, by default the right one."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None


def s3_refusal(status: int, code: str, message: str = "no") -> Answer:
    """A refusal of S3."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    headers = {"x-amz-request-id": "R", "x-amz-bucket-region": "us-east-1", "Content-Type": "application/xml"}
    return Answer(status, body, headers)


def bare(status: int) -> Answer:
    """A refusal without a body, as S3 answers each HEAD."""
    return Answer(status, b"", {"x-amz-request-id": "R"})


def json_answer(content: Any, status: int = 200) -> Answer:
    """An answer of DynamoDB or SQS."""
    headers = {"x-amzn-RequestId": "R", "Content-Type": "application/x-amz-json-1.0"}
    return Answer(status, json.dumps(content).encode(), headers)


def portal(status: int = 200) -> Answer:
    """The page of a captive portal or of a proxy."""
    return Answer(status, PORTAL, {"Content-Type": "text/html"})


def pass_on(asked: Asked, endpoint_url: str) -> Answer:
    """What the emulator says to a request."""
    connection = http.client.HTTPConnection(urlsplit(endpoint_url).netloc, timeout=60)
    try:
        connection.request(asked.method, asked.path, asked.body, dict(asked.headers))
        response = connection.getresponse()
        left_out = {"connection", "content-length", "date", "server", "transfer-encoding"}
        headers = {name: value for name, value in response.getheaders() if name.lower() not in left_out}
        return Answer(response.status, response.read(), headers)
    finally:
        connection.close()


@dataclass
class ScriptedAws:
    """The running server: where it is, and what it was asked."""

    url: str
    asked: list[Asked]


@contextmanager
def scripted_aws(answer: Callable[[Asked], Answer]) -> Iterator[ScriptedAws]:
    """Serve on a free port, each request answered by the script."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, dict(self.headers), body)
            aws.asked.append(asked)
            given = answer(asked)
            self.send_response_only(given.status)
            self.send_header("Date", given.date or self.date_time_string())
            self.send_header("Content-Length", str(len(given.body)))
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve  # noqa: N815

    with http_server(Handler) as url:
        aws = ScriptedAws(url, [])
        yield aws
