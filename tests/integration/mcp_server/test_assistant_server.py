"""The MCP server: its tools, its refusals, and its output streams."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from mcp import Client
from mcp_types import TextContent
from typer.testing import CliRunner

from layoutlm_cli.main import app
from layoutlm_cli.mcp_server.dataset_tools import DatasetTools
from layoutlm_cli.mcp_server.run_tools import SCALARS, USUAL, Metric
from layoutlm_cli.mcp_server.server import make_server
from layoutlm_cli.open_clients import Clients
from messages.codec import decode_train_job
from messages.hyperparameters import Hyperparameters
from receipt_dynamo import DynamoClient
from receipt_dynamo.errors import NotFound
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.epoch_record import EpochFacts
from run_records.s3_store import S3Store
from tests.integration.mcp_server.conftest import ROOT, Assistant, Start
from tests.support.records import MakeJob
from workers.errors import SettingsError
from workers.local_aws.local_stack import LocalStack

READING = {
    "training_history",
    "run_detail",
    "compare_runs",
    "compare_groups",
    "dataset_statistics",
    "live_runs",
    "diagnose_run",
    "recommend_next_run",
    "failing_receipts",
}


@pytest.fixture(scope="module")
def submitter(start: Start) -> Iterator[Assistant]:
    """A server that may start trainings."""
    with start("--allow-submit") as started:
        yield started


def received(stack: LocalStack) -> list[dict[str, Any]]:
    """Messages of the train queue; none stays."""
    sqs, url = stack.client("sqs"), stack.environ["TRAIN_JOB_QUEUE_URL"]
    found: list[dict[str, Any]] = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
    ).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_every_tool_says_when_to_use_it_what_it_takes_what_it_gives_and_that_it_reads(
    assistant: Assistant,
) -> None:
    tools = assistant.tools()
    assert set(tools) == READING
    for tool in tools.values():
        assert tool.description
        assert tool.input_schema["type"] == "object"
        assert tool.output_schema
        assert tool.output_schema["properties"]
        assert tool.annotations
        assert tool.annotations.read_only_hint is True
        for name, schema in tool.input_schema.get("properties", {}).items():
            assert schema.get("description"), (tool.name, name)


def test_submitting_is_there_only_where_it_was_allowed_and_marked_as_what_changes_something(
    assistant: Assistant, submitter: Assistant, stack: LocalStack
) -> None:
    assert "submit_training" not in assistant.tools()
    assert "submit_training" in assistant.fail("submit_training", job_name="a", hyperparameters={})
    assert received(stack) == []
    tools = submitter.tools()
    assert set(tools) == READING | {"submit_training"}
    annotations = tools["submit_training"].annotations
    assert annotations
    assert (annotations.read_only_hint, annotations.destructive_hint) == (False, True)
    options = tools["submit_training"].input_schema["properties"]["hyperparameters"]["properties"]
    assert set(options) == set(Hyperparameters.model_fields)


def test_a_submitted_training_is_on_the_queue_and_in_the_table(
    submitter: Assistant, stack: LocalStack, client: DynamoClient
) -> None:
    options = {"epochs": 3, "learning_rate": "3e-5"}
    answer = submitter.ask(
        "submit_training", job_name="asked-for", hyperparameters=options, auto_export=False
    )
    [message] = received(stack)
    job = decode_train_job(message["Body"], message_id=message["MessageId"], kind="train")
    assert (job.job_name, job.hyperparameters.epochs, job.hyperparameters.learning_rate) == (
        "asked-for",
        3,
        3e-5,
    )
    assert job.auto_export is False
    assert (answer["job_id"], answer["message_id"]) == (job.job_id, message["MessageId"])
    assert answer["hyperparameters"] == {"epochs": 3, "learning_rate": 3e-5}
    assert client.get_job(job.job_id).status == "pending"


def test_a_wrong_request_names_every_fault_and_sends_nothing(
    submitter: Assistant, stack: LocalStack, client: DynamoClient
) -> None:
    said = submitter.fail("submit_training", job_name="faulty", hyperparameters={"epoch": 3, "batch_size": 0})
    assert "hyperparameters.epoch" in said
    assert "hyperparameters.batch_size" in said
    assert received(stack) == []
    with pytest.raises(NotFound):
        client.find_job("faulty")


def test_wrong_names_and_arguments_are_errors_of_one_sentence_and_no_stack(
    assistant: Assistant, make_job: MakeJob
) -> None:
    make_job("known", best_f1=0.5)
    for tool in ("run_detail", "diagnose_run", "failing_receipts", "recommend_next_run"):
        assert "There is no job with the id or the name nobody" in assistant.fail(tool, job="nobody")
    assert "Did you mean batch_size" in assistant.fail("compare_groups", by="batchsize")
    assert "at least two runs" in assistant.fail("compare_runs", jobs=["known", "known"])
    assert "metrics" in assistant.fail("run_detail", job="known", metrics=["f1"])
    assert "Traceback" not in assistant.log.read_text(encoding="utf-8")


async def test_a_table_that_is_not_there_is_an_error_that_says_what_to_do(stack: LocalStack) -> None:
    records = Clients(DynamoClient("no-such-table", client=stack.client("dynamodb")), S3Store([]))
    async with Client(make_server(records, stack.settings, allow_submit=False)) as client:
        answer = await client.call_tool("training_history", {})
    [content] = answer.content
    assert answer.is_error
    assert isinstance(content, TextContent)
    assert "correct DYNAMO_TABLE_NAME" in content.text


def test_nothing_but_the_protocol_is_on_standard_output(stack: LocalStack, make_job: MakeJob) -> None:
    make_job("seen", at=9)
    calls: list[dict[str, Any]] = [
        {"method": "tools/list"},
        {"method": "tools/call", "params": {"name": "run_detail", "arguments": {"job": "seen"}}},
        {"method": "tools/call", "params": {"name": "run_detail", "arguments": {"job": "nobody"}}},
    ]
    opening = {
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "a test", "version": "1"},
        },
    }
    with subprocess.Popen(
        [sys.executable, "-m", "layoutlm_cli", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=stack.child_environ(),
        cwd=ROOT,
    ) as server:
        assert server.stdin
        assert server.stdout
        answers = []
        for number, request in enumerate([opening, *calls]):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, **request}) + "\n")
            server.stdin.flush()
            answers.append(json.loads(server.stdout.readline()))
            if not number:
                server.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        rest, _ = server.communicate()
    assert rest == ""
    assert server.returncode == 0
    assert [(answer["jsonrpc"], answer["id"]) for answer in answers] == [("2.0", n) for n in range(4)]
    assert [answer["result"].get("isError", False) for answer in answers] == [False, False, False, True]


def test_the_data_set_is_read_once_in_some_minutes_and_says_when(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    write_records(client, synthetic.generate(1, 7))
    tools = DatasetTools(client)
    first = tools.dataset_statistics().dataset
    requests = client.request_count
    write_records(client, synthetic.generate(1, 8))
    written = client.request_count
    assert written > requests
    assert tools.dataset_statistics().dataset == first
    assert client.request_count == written
    monkeypatch.setattr(DatasetTools, "KEPT_SECONDS", -1.0)
    again = tools.dataset_statistics().dataset
    assert again.statistics.receipts == first.statistics.receipts + 1
    assert again.read_at > first.read_at


def test_every_metric_of_an_evaluation_can_be_asked_for() -> None:
    scalar, large = get_args(Metric)
    assert set(get_args(scalar)) | set(get_args(large)) == set(EpochFacts.model_fields) - {
        "epoch",
        "global_step",
    }
    assert set(USUAL) <= set(SCALARS)


def test_what_may_start_trainings_asks_for_the_queue_first(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNAMO_TABLE_NAME", stack.environ["DYNAMO_TABLE_NAME"])
    answer = CliRunner().invoke(app, ["mcp", "--allow-submit"])
    assert isinstance(answer.exception, SettingsError)
    assert "TRAIN_JOB_QUEUE_URL" in str(answer.exception)
    assert answer.output == ""


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "layoutlm_cli.mcp_server.server")
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    answer = CliRunner().invoke(app, ["mcp"])
    assert isinstance(answer.exception, SettingsError)
    assert "pip install 'receipt-layoutlm[mcp]'" in str(answer.exception)
