"""Starts moto and creates table, bucket and queues."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from receipt_dynamo.session import new_session
from receipt_dynamo.table import create_table
from workers.errors import WorkerError
from workers.settings import Settings
from workers.sqs.queue_definitions import BUCKET_NAME, QUEUES, TABLE_NAME

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
_STOP_SECONDS = 5
_GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""Has glibc return large blocks, which are bodies of requests, to the system as soon as they are freed."""


class MotoServer:
    """The emulator's process; a context manager that ends it, and all that is in it."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self.endpoint_url = ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C, for instance, while it comes up
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the emulator.

        Raises:
            WorkerError: it did not come up, for instance because the port is taken.
        """
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "workers.local_aws.moto_server", str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_GIVES_BACK},
            start_new_session=True,  # Ctrl-C is for the command, which then ends the emulator
        )
        line = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not line.isdigit():
            self.stop()
            raise WorkerError(
                f"The local AWS did not start on port {self._port}. Choose another --port, and install the "
                "extra: pip install 'receipt-layoutlm[local]'."
            )
        # Later starts come up where clients look for it.
        self._port = int(line)
        self.endpoint_url = f"http://127.0.0.1:{line}"

    def stop(self) -> None:
        """End the emulator; everything in it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()  # at once: what requests are under way for is gone, too
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def wait(self) -> None:
        """Wait until the emulator ends."""
        if self._process is not None:
            self._process.wait()


@dataclass(frozen=True, slots=True)
class LocalStack:
    """One set of table, bucket and queues in an emulator.

    Attributes:
        environ: the variables that the AWS CLI and every command here take to reach it.
    """

    environ: dict[str, str]

    @classmethod
    def make(cls, emulator: MotoServer, *, suffix: str = "") -> LocalStack:
        """Make the resources; a suffix keeps several sets in one emulator apart."""
        stack = cls(
            {
                "AWS_ENDPOINT_URL": emulator.endpoint_url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                **CREDENTIALS,
                "DYNAMO_TABLE_NAME": TABLE_NAME + suffix,
                "LAYOUTLM_TRAINING_BUCKET": BUCKET_NAME + suffix,
            }
        )
        create_table(stack.client("dynamodb"), stack.environ["DYNAMO_TABLE_NAME"])
        stack.client("s3").create_bucket(Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"])
        stack._make_queues(suffix)
        return stack

    @property
    def settings(self) -> Settings:
        """The settings that reach it."""
        return Settings.from_environ(self.environ)

    def child_environ(self, **more: str) -> dict[str, str]:
        """This process's environment with the stack's variables, and more, over it."""
        return {**os.environ, **self.environ, **more}

    def client(self, service: str) -> Any:
        """A boto3 client of the stack."""
        session: Any = new_session()
        return session.client(
            service,
            endpoint_url=self.environ["AWS_ENDPOINT_URL"],
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def _make_queues(self, suffix: str) -> None:
        sqs = self.client("sqs")
        for spec in QUEUES:
            dead = sqs.create_queue(
                QueueName=spec.dead_letter_name + suffix, Attributes=spec.dead_letter_attributes
            )["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ]
            made = sqs.create_queue(QueueName=spec.name + suffix, Attributes=spec.attributes(arn))
            self.environ[spec.variable] = made["QueueUrl"]
