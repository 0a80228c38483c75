"""A group in the emulator's Auto Scaling, and in front of it the two calls of hooks that it lacks."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.http_server import http_server
from workers.local_aws.local_stack import LocalStack

HOOKED = {"RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"}
DENIED = (
    b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed</Message></Error></ErrorResponse>"
)


@dataclass
class HookedAws:
    """The emulator's AWS with lifecycle hooks.

    Attributes:
        url: where it is.
        asked: the calls to Auto Scaling, each by its action with its arguments.
        denied: actions that the role may not do.
    """

    url: str
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)

    @property
    def actions(self) -> list[str]:
        """What was asked for, in order."""
        return [action for action, _ in self.asked]

    def answer(self, body: bytes) -> tuple[int, bytes] | None:
        """Status and body of what is answered here; None where the emulator does."""
        form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        action = form.pop("Action", "")
        if form.get("Version") == "2011-01-01":
            self.asked.append((action, form))
        if action in self.denied:
            return 403, DENIED
        if action in HOOKED:
            return 200, f"<{action}Response><{action}Result/></{action}Response>".encode()
        return None


@contextmanager
def hooked_aws(endpoint_url: str) -> Iterator[HookedAws]:
    """Serve on a free port, with everything else passed on to the emulator."""
    upstream = urlsplit(endpoint_url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = aws.answer(body) or self.ask_emulator(body)
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def ask_emulator(self, body: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(upstream, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            status, text = response.status, response.read()
            connection.close()
            return status, text

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_PUT = do_POST = serve  # noqa: N815 - as the base class calls them

    with http_server(Handler) as url:
        aws = HookedAws(url)
        yield aws


@dataclass(frozen=True)
class Fleet:
    """An Auto Scaling group in the emulator."""

    client: Any
    name: str
    instance_ids: list[str]

    @classmethod
    def make(cls, stack: LocalStack, *, size: int, smallest: int = 0) -> Fleet:
        client, name = stack.client("autoscaling"), stack.environ["DYNAMO_TABLE_NAME"]
        client.create_launch_configuration(
            LaunchConfigurationName=name, ImageId="ami-12c6146b", InstanceType="t2.micro"
        )
        client.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchConfigurationName=name,
            MinSize=smallest,
            MaxSize=9,
            DesiredCapacity=size,
            AvailabilityZones=["us-east-1a"],
        )
        return cls(client, name, [one["InstanceId"] for one in cls._read(client, name)["Instances"]])

    def add_hook(self, name: str, heartbeat_seconds: int = 30) -> None:
        self.client.put_lifecycle_hook(
            AutoScalingGroupName=self.name,
            LifecycleHookName=name,
            LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
            HeartbeatTimeout=heartbeat_seconds,
        )

    @property
    def instances(self) -> list[str]:
        """The instances that are in it now."""
        return [one["InstanceId"] for one in self._read(self.client, self.name)["Instances"]]

    @property
    def desired(self) -> int:
        return int(self._read(self.client, self.name)["DesiredCapacity"])

    @property
    def protected(self) -> set[str]:
        """The instances that scale-in leaves alone."""
        found = self._read(self.client, self.name)["Instances"]
        return {one["InstanceId"] for one in found if one["ProtectedFromScaleIn"]}

    @staticmethod
    def _read(client: Any, name: str) -> Any:
        return client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
