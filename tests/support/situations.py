"""An AWS that cannot be reached, and one that forbids everything."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import botocore.retries.standard
import pytest

from tests.support.http_server import http_server
from workers.local_aws.local_stack import LocalStack


class _Denying(BaseHTTPRequestHandler):
    """Answers as AWS does to a role without rights: JSON to DynamoDB and SQS, XML to S3."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._deny()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names of the base class

    def _deny(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        target = self.headers.get("x-amz-target", "")
        code = "AccessDenied" if "SQS" in target or not target else "AccessDeniedException"
        said = "User: arn:aws:iam::123456789012:user/nobody is not authorized to perform this action"
        if target:
            body = json.dumps({"__type": f"com.amazonaws#{code}", "message": said}).encode()
        else:
            body = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/x-amz-json-1.0" if target else "application/xml")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def denying_endpoint() -> Iterator[str]:
    """An endpoint that answers 403 to everything; yields its URL."""
    with http_server(_Denying) as url:
        yield url


@contextmanager
def closed_endpoint() -> Iterator[str]:
    """An endpoint that refuses every connection; yields its URL."""
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def environ_at(stack: LocalStack, endpoint_url: str) -> dict[str, str]:
    """The stack's variables with its table, bucket and queues at another endpoint."""
    before = stack.environ["AWS_ENDPOINT_URL"]
    return {name: value.replace(before, endpoint_url) for name, value in stack.environ.items()}


def retry_at_once(patched: pytest.MonkeyPatch) -> None:
    """Take the pauses out of the AWS libraries' tries; their number stays."""
    backoff = botocore.retries.standard.ExponentialBackoff
    patched.setattr(backoff, "delay_amount", lambda self, context: 0)
