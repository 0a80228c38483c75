"""A child whose lease has run out sends nothing to AWS any more, whichever of its threads comes first."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from messages.child_protocol import ChildExit
from receipt_dynamo import DynamoClient, session
from receipt_dynamo.clock import steady_seconds
from run_records.s3_store import S3Store
from workers.local_aws.local_stack import LocalStack

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"

# What a child does to AWS, with `table` and `bucket` as its arguments.
WRITES = {
    "a record": """
from receipt_dynamo.entities import JobLog
DynamoClient(table).add_job_log(
    JobLog(job_id="{job_id}", timestamp=now(), log_level="INFO", message="late")
)""",
    "a document": 'S3Store([bucket]).write(f"s3://{{bucket}}/late.json", b"late")',
    "a file in parts": 'S3Store([bucket]).upload_file(large, f"s3://{{bucket}}/late.bin")',
}
CHILD = """
import sys, time
from pathlib import Path
from receipt_dynamo import DynamoClient
from receipt_dynamo.session import check_before_requests
from receipt_dynamo.clock import now
from run_records.job_process.lease_guard import {guard}
from run_records.s3_store import S3Store

table, bucket, flag, large = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
check_before_requests({guard}(0).check)
print("up", flush=True)
while not flag.exists():
    pass
{write}
print("written", flush=True)
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """More than goes up in one piece."""
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(9 * 2**20))
    return path


@contextmanager
def child(stack: LocalStack, write: str, flag: Path, large: Path, guard: str) -> Iterator[Any]:
    code = CHILD.format(guard=guard, job_id=JOB_ID, write=WRITES[write].format(job_id=JOB_ID))
    table, bucket = stack.environ["DYNAMO_TABLE_NAME"], stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, table, bucket, str(flag), str(large)],
        env=stack.child_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def written(stack: LocalStack) -> list[object]:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    listed = stack.client("s3").list_objects_v2(Bucket=stack.environ["LAYOUTLM_TRAINING_BUCKET"])
    return [*client.list_job_logs(JOB_ID).items, *listed.get("Contents", ())]


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_sent_after_the_end_of_the_lease(
    stack: LocalStack, tmp_path: Path, large: Path, write: str
) -> None:
    # Without the watching thread: it is the check before the request that ends the process here.
    with child(stack, write, tmp_path / "go", large, guard="LeaseGuard") as process:
        process.stdin.write(f"{steady_seconds():.3f}\n".encode())
        (tmp_path / "go").touch()
        assert process.wait(20) == ChildExit.LAPSED
        assert process.stdout.read() == b""
    assert written(stack) == []


def test_within_the_lease_everything_is_sent(stack: LocalStack, tmp_path: Path, large: Path) -> None:
    with child(stack, "a file in parts", tmp_path / "go", large, guard="watch_lease") as process:
        process.stdin.write(f"{steady_seconds() + 60:.3f}\n".encode())
        (tmp_path / "go").touch()
        assert process.wait(20) == ChildExit.DONE
    assert len(written(stack)) == 1


def test_a_child_that_was_frozen_past_its_lease_wakes_up_and_writes_nothing(
    stack: LocalStack, tmp_path: Path, large: Path
) -> None:
    with child(stack, "a record", tmp_path / "go", large, guard="watch_lease") as process:
        process.stdin.write(f"{steady_seconds() + 60:.3f}\n".encode())
        process.send_signal(signal.SIGSTOP)
        process.stdin.write(f"{steady_seconds():.3f}\n".encode())
        (tmp_path / "go").touch()
        process.send_signal(signal.SIGCONT)
        assert process.wait(20) == ChildExit.LAPSED
    assert written(stack) == []


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The thread of each check that this process makes before a request."""
    made: list[str] = []
    monkeypatch.setattr(session, "_checks", [lambda: made.append(threading.current_thread().name)])
    return made


def test_each_part_of_an_upload_is_checked_in_the_thread_that_sends_it(
    stack: LocalStack, large: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    S3Store([bucket]).upload_file(large, f"s3://{bucket}/large.bin")
    # Begin, two parts, complete.
    assert len(checks) == 4
    assert threading.current_thread().name not in checks


def test_each_retry_is_checked(checks: list[str]) -> None:
    config = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=1)
    client = session.new_session().client("s3", endpoint_url="http://127.0.0.1:9", config=config)
    with pytest.raises(EndpointConnectionError):
        client.list_buckets()
    assert len(checks) == 2
