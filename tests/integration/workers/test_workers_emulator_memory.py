"""The emulator keeps what is there, not what was: its memory and its files are bounded."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import psutil
import pytest

from workers.local_aws.local_stack import LocalStack, MotoServer
from workers.local_aws.moto_server import BUFFER_BYTES

MB = 1_000_000


@pytest.fixture
def few_files() -> Iterator[int]:
    """A process that may have few files open, as on macOS by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def own_emulator() -> Iterator[MotoServer]:
    with MotoServer() as emulator:
        yield emulator


def memory(emulator: MotoServer) -> int:
    assert emulator.pid is not None
    return int(psutil.Process(emulator.pid).memory_info().rss)


def test_objects_lie_on_disk_and_those_that_were_replaced_or_deleted_are_given_back(
    own_emulator: MotoServer,
) -> None:
    stack = LocalStack.make(own_emulator)
    s3, bucket = stack.client("s3"), stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    checkpoint = b"x" * 4 * MB
    s3.put_object(Bucket=bucket, Key="first", Body=checkpoint)
    before = memory(own_emulator)
    for number in range(30):
        s3.put_object(Bucket=bucket, Key=f"checkpoint-{number}", Body=checkpoint)
        s3.put_object(Bucket=bucket, Key="best", Body=checkpoint)
    assert memory(own_emulator) - before < 60 * MB  # of 240 MB that were sent, 124 MB of which are there
    assert s3.get_object(Bucket=bucket, Key="checkpoint-7")["Body"].read() == checkpoint
    for number in range(30):
        s3.delete_object(Bucket=bucket, Key=f"checkpoint-{number}")
    assert psutil.Process(own_emulator.pid).num_fds() < 30


def test_an_item_that_is_written_again_and_again_is_kept_once(own_emulator: MotoServer) -> None:
    stack = LocalStack.make(own_emulator)
    dynamodb, table = stack.client("dynamodb"), stack.environ["DYNAMO_TABLE_NAME"]

    def write(times: int) -> None:
        for number in range(times):
            item = {"PK": {"S": "JOB#1"}, "SK": {"S": "LEASE"}, "BODY": {"S": f"{number}" + "x" * 200_000}}
            dynamodb.put_item(TableName=table, Item=item)

    write(50)
    before = memory(own_emulator)
    write(300)
    assert memory(own_emulator) - before < 30 * MB  # of 60 MB


def test_more_objects_lie_on_disk_than_a_process_may_have_files_open_by_default(
    few_files: int, own_emulator: MotoServer
) -> None:
    stack = LocalStack.make(own_emulator)
    s3, bucket = stack.client("s3"), stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    for number in range(few_files + 20):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=b"x" * (BUFFER_BYTES + 1))
    assert psutil.Process(own_emulator.pid).num_fds() > few_files
