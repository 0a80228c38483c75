"""Records AWS calls with resource and access key, on the way from the callers to the emulator.

The recording sees daemons, their children, boto3 and aiobotocore alike. It identifies a caller by the id of
its access key, which every signed request names.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.http_server import http_server
from tests.support.refusing_proxy import HOP_BY_HOP

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True, order=True)
class Recorded:
    """One call as IAM judges it.

    Attributes:
        caller: the id of the access key.
        action: IAM's, for example `s3:PutObject`; several operations may be one action.
        resource: an ARN, or `*` where the call names none.
    """

    caller: str
    action: str
    resource: str


@contextmanager
def recording(endpoint_url: str) -> Iterator[tuple[str, set[Recorded]]]:
    """Serve on a free port of 127.0.0.1; yields the URL to send requests to, and what was called so far."""
    seen: set[Recorded] = set()
    with http_server(_forwarding_to(urlsplit(endpoint_url).netloc, seen)) as url:
        yield url, seen


def _forwarding_to(upstream: str, seen: set[Recorded]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.update(calls_of(self.command, self.path, self.headers, body))
            connection = http.client.HTTPConnection(upstream, timeout=60)
            # The host stays the caller's: the emulator takes service and bucket from path and signature.
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            self.answer(response, response.read())
            connection.close()

        def answer(self, response: http.client.HTTPResponse, body: bytes) -> None:
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            of_head = response.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", of_head or str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815 - the names that the server calls

    return Handler


def calls_of(method: str, path: str, headers: Message, body: bytes) -> set[Recorded]:
    """What IAM is asked for one request; nothing for a request that nobody has signed."""
    signed = _CREDENTIAL.search(headers.get("Authorization", ""))
    if signed is None:
        return set()
    caller, region, service = signed.groups()
    if service == "s3":
        return {Recorded(caller, action, on) for action, on in _s3(method, path, headers)}
    operation = headers["X-Amz-Target"].rsplit(".", 1)[1]
    arguments = json.loads(body)
    arn = f"arn:aws:{service}:{region}:{_ACCOUNT}:"
    return {Recorded(caller, action, on) for action, on in _READERS[service](operation, arguments, arn)}


def _s3(method: str, path: str, headers: Message) -> Iterator[tuple[str, str]]:
    place, _, query = path.partition("?")
    arguments = parse_qs(query, keep_blank_values=True)
    bucket, _, key = unquote(place).lstrip("/").partition("/")
    resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
    if "list-type" in arguments:
        yield "s3:ListBucket", resource
        return
    if "x-amz-copy-source" in headers:
        yield "s3:GetObject", "arn:aws:s3:::" + unquote(headers["x-amz-copy-source"]).lstrip("/")
    if "x-amz-tagging" in headers:
        yield "s3:PutObjectTagging", resource
    upload = "uploadId" in arguments
    actions = {
        "GET": "s3:GetObject",
        "HEAD": "s3:GetObject",
        "PUT": "s3:PutObject",
        "POST": "s3:PutObject",
        "DELETE": "s3:AbortMultipartUpload" if upload else "s3:DeleteObject",
    }
    yield actions[method], resource


def _sqs(operation: str, arguments: Mapping[str, Any], arn: str) -> Iterator[tuple[str, str]]:
    name = arguments.get("QueueName") or arguments["QueueUrl"].rsplit("/", 1)[1]
    yield f"sqs:{operation.removesuffix('Batch')}", arn + name


def _dynamodb(operation: str, arguments: Mapping[str, Any], arn: str) -> Iterator[tuple[str, str]]:
    for one in arguments.get("TransactItems", ()):  # IAM judges each of them as if it came alone
        ((write, its),) = one.items()
        yield from _dynamodb(f"{write}Item", its, arn)
    if "TransactItems" in arguments:
        return
    index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
    for table in arguments.get("RequestItems") or [arguments["TableName"]]:
        yield f"dynamodb:{operation}", f"{arn}table/{table}{index}"


def _sagemaker(operation: str, arguments: Mapping[str, Any], arn: str) -> Iterator[tuple[str, str]]:
    name = arguments.get("TrainingJobName")
    yield f"sagemaker:{operation}", f"{arn}training-job/{name}" if name else arguments["ResourceArn"]
    if "RoleArn" in arguments:
        yield "iam:PassRole", arguments["RoleArn"]
    if operation == "CreateTrainingJob" and arguments.get("Tags"):
        yield "sagemaker:AddTags", f"{arn}training-job/{name}"


_READERS = {"sqs": _sqs, "dynamodb": _dynamodb, "sagemaker": _sagemaker}
