"""Measures response times of history, comparison and the dashboard's pages with 2,000 recorded runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.report import print_row, spread
from receipt_dynamo import DynamoClient
from run_analysis.comparison.compare_groups import compare_groups
from run_analysis.comparison.compare_runs import compare_runs
from run_analysis.run import read_run
from run_analysis.runs import list_runs
from run_records.s3_store import S3Store
from tests.support.many_runs import seed_runs
from workers.local_aws.local_stack import LocalStack, MotoServer

RUNS = 2000
EPOCHS = 10
ROUNDS = 5
LIMIT = "2 s"


def measure() -> None:
    """Functions first, then pages over HTTP."""
    with MotoServer() as emulator:
        stack = LocalStack.make(emulator)
        client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
        storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
        first, second, *_ = seed_runs(client, storage, RUNS, EPOCHS)
        _time(client, "a page of the history", lambda: list_runs(client))
        _time(client, "one run whole", lambda: read_run(client, storage, first))
        _time(
            client,
            "two runs compared",
            lambda: compare_runs([read_run(client, storage, one) for one in (first, second)]),
        )
        _time(
            client,
            "all succeeded runs grouped by learning_rate",
            lambda: compare_groups(
                list_runs(client, statuses=["succeeded"], limit=None).runs, "learning_rate"
            ),
        )
        _time_pages(stack, first, second)


def _time(client: DynamoClient, what: str, call: Callable[[], Any]) -> None:
    took, before = [], client.request_count
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    requests = (client.request_count - before) // ROUNDS
    print_row(f"{what}, {RUNS:,} runs recorded", f"{spread(took)}; {requests} requests to the table", LIMIT)


def _time_pages(stack: LocalStack, first: str, second: str) -> None:
    pages = ("/", "/jobs", f"/runs/{first}", f"/compare?run={first}&run={second}", "/queues", "/workers")
    with _dashboard(stack) as address:
        for page in pages:
            took = []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                with urllib.request.urlopen(address + page, timeout=60) as answer:  # noqa: S310 - our own page
                    answer.read()
                took.append(time.perf_counter() - started)
            shown = page.replace(first, "RUN").replace(second, "RUN")
            print_row(f"dashboard {shown}, {RUNS:,} runs recorded", spread(took), LIMIT)


@contextmanager
def _dashboard(stack: LocalStack) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "layoutlm_cli", "dashboard", "--port", "0"],
        env=stack.child_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rstrip("/")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)
