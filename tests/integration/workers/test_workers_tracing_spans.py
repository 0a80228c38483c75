"""Spans of real jobs, read where a collector reads them: OTLP over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from receipt_dynamo import DynamoClient
from tests.support.otlp_receiver import Collector, collecting
from tests.support.work import Bench, export_bench, training_bench
from workers.local_aws.local_stack import LocalStack
from workers.telemetry.tracing import open_tracing

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SENDER}-01"
WORKER = (
    "from layoutlm_cli.main import main\n"
    "from workers.jobs.training import TrainingHandler\n"
    "TrainingHandler.module = 'tests.support.traced_child'\n"
    "main()\n"
)


def body(script: str = "succeed") -> dict[str, Any]:
    return {"job_id": JOB_ID, "job_name": "demo", "auto_export": False, "tags": {"script": script}}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


async def work_traced(bench: Bench, url: str) -> None:
    settings = bench.settings.model_copy(update={"otel_endpoint": url})
    async with open_tracing(settings, bench.handler.kind.name, "bench") as tracing:
        bench.handler = replace(bench.handler, tracing=tracing)
        await bench.work_once()


def work_as_daemon(stack: LocalStack, folder: Path, endpoint: str) -> tuple[str, list[dict[str, Any]]]:
    """One job by a real daemon, sent within a trace; returns the message's id and the daemon's lines."""
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.environ["TRAIN_JOB_QUEUE_URL"],
        MessageBody=json.dumps(body()),
        MessageAttributes={"traceparent": {"DataType": "String", "StringValue": TRACEPARENT}},
    )
    answer = subprocess.run(
        [sys.executable, "-c", WORKER, "train-worker", "--once"],
        env=stack.child_environ(
            LAYOUTLM_POLL_SECONDS="0", LAYOUTLM_WORK_DIR=str(folder), OTEL_EXPORTER_OTLP_ENDPOINT=endpoint
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return sent["MessageId"], [json.loads(line) for line in answer.stderr.splitlines()]


def results_of(stack: LocalStack) -> dict[str, Any]:
    table = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    job = table.get_job(JOB_ID)
    assert job.status == "succeeded"
    return job.results


def test_one_trace_leads_from_the_sender_by_the_daemon_to_its_child(
    stack: LocalStack, tmp_path: Path, collector: Collector
) -> None:
    message_id, lines = work_as_daemon(stack, tmp_path, collector.url)
    message, child = collector.named("layoutlm.train"), collector.named("layoutlm.child")
    assert (message.trace_id, message.parent_id, message.service) == (TRACE, SENDER, "layoutlm-train-worker")
    assert (child.trace_id, child.parent_id) == (TRACE, message.span_id)
    assert 0 < child.seconds < message.seconds
    worker = next(line["worker"] for line in lines if line["event"] == "worker ready")
    assert message.attributes == {
        "job_id": JOB_ID,
        "message_id": message_id,
        "attempt": 1,
        "ending": "DONE",
        "worker": worker,
    }
    assert results_of(stack)["traceparent"] == f"00-{TRACE}-{child.span_id}-01"


def test_a_collector_that_is_not_there_costs_a_daemon_a_line_and_no_job(
    stack: LocalStack, tmp_path: Path
) -> None:
    _, lines = work_as_daemon(stack, tmp_path, "http://127.0.0.1:1")
    handled = next(line for line in lines if line["event"] == "message handled")
    assert (handled["ending"], handled["job_id"]) == ("DONE", JOB_ID)
    assert "spans were not sent" in [line["event"] for line in lines]
    assert lines[-1]["event"] == "worker stopped"
    assert results_of(stack)["traceparent"].startswith(f"00-{TRACE}-")


async def test_a_collector_that_refuses_spans_disturbs_no_job(
    stack: LocalStack, tmp_path: Path, collector: Collector
) -> None:
    collector.status = 400
    with capture_logs() as lines:
        async with training_bench(stack, tmp_path) as bench:
            await bench.send(body())
            await work_traced(bench, collector.url)
            assert (await bench.aws.table.get_job(JOB_ID)).status == "succeeded"
    assert [line["event"] for line in lines].count("spans were not sent") == 1
    assert collector.spans == []


@pytest.mark.parametrize(
    ("script", "ending"),
    [("fail:data", "NEVER"), ("fail:network", "HOST_FAULT"), ("kill", "LATER")],
)
async def test_a_span_says_how_an_attempt_failed(
    stack: LocalStack, tmp_path: Path, collector: Collector, script: str, ending: str
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        await bench.send(body(script))
        await work_traced(bench, f"{collector.url}/")
    assert collector.named("layoutlm.train").attributes["ending"] == ending


async def test_a_message_that_starts_no_child_has_one_span_without_a_job(
    stack: LocalStack, tmp_path: Path, collector: Collector
) -> None:
    async with training_bench(stack, tmp_path) as bench:
        message_id = await bench.send("no request")
        await work_traced(bench, collector.url)
    [span] = collector.spans
    assert span.attributes == {"message_id": message_id, "worker": "bench", "ending": "UNREADABLE"}


async def test_an_export_has_a_span_of_its_own_name(
    stack: LocalStack, tmp_path: Path, collector: Collector
) -> None:
    export_id = "0b7f8a52-7a55-4ab4-8f0e-53a3b0b8a0c1"
    export = {"export_id": export_id, "job_id": JOB_ID, "quantize": None}
    async with export_bench(stack, tmp_path) as bench:
        bucket = bench.settings.bucket
        await bench.send(
            {**export, "model_s3_uri": f"s3://{bucket}/succeed/", "output_s3_prefix": f"s3://{bucket}/c/"}
        )
        await work_traced(bench, collector.url)
    span = collector.named("layoutlm.export")
    assert (span.service, span.attributes["job_id"]) == ("layoutlm-export-worker", export_id)
    assert span.attributes["ending"] == "NEVER"  # of a training that nobody knows
