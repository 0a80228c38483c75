"""An AWS that refuses what a test wants refused: forwards everything else to the emulator."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.support.http_server import http_server

DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
DENIED_IN_JSON = b'{"__type": "AccessDeniedException", "message": "not authorized to do this"}'
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@contextmanager
def refusing_uploads(endpoint_url: str, pattern: str) -> Iterator[str]:
    """Deny uploads whose path matches; yields the URL to send requests to."""
    with refusing(
        endpoint_url, lambda method, path: method == "PUT" and bool(re.search(pattern, path))
    ) as url:
        yield url


@contextmanager
def refusing(endpoint_url: str, refuses: Callable[[str, str], bool]) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1, asking with method and path before each request; yields the URL.

    Of SQS and DynamoDB, whose paths are all the same, the path is `/OPERATION/NAME` of the queue or table.
    """
    upstream = urlsplit(endpoint_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if refuses(self.command, f"/{target}/{_named(body)}" if target else self.path):
                self.answer(403, [("Content-Type", "application/xml")], DENIED_IN_JSON if target else DENIED)
                return
            connection = http.client.HTTPConnection(upstream, timeout=60)
            # The host stays the caller's: the emulator takes service and bucket from path and signature.
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            self.answer(response.status, response.getheaders(), response.read())
            connection.close()

        def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            length = len(body)
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = int(value)
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815

    with http_server(Handler) as url:
        yield url


def _named(body: bytes) -> str:
    """The queue or table that a request to SQS or DynamoDB names."""
    arguments = json.loads(body)
    return str(arguments.get("TableName") or arguments.get("QueueUrl", "").rsplit("/", 1)[-1])
