"""`findings` and `advise` as people type them, as processes, against the emulated AWS."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from messages.codec import decode_train_job
from receipt_dynamo import DynamoClient
from run_analysis.run import RunDetail
from run_records.s3_store import S3Store
from tests.integration.cli.test_cli_commands import cli as run_cli
from tests.support.curve_shapes import FAULTY, HEALTHY
from tests.support.curves import simulate
from tests.support.stored_runs import store_run
from workers.local_aws.local_stack import LocalStack

IDS = {name: f"00000000-0000-4000-8000-{number:012d}" for number, name in enumerate(("first", "second"))}
HOURS = {"first": 9, "second": 10}


def cli(stack: LocalStack, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return run_cli(stack, *arguments, COLUMNS="300", **environ)


def as_json(stack: LocalStack, *arguments: str) -> Any:
    answer = cli(stack, *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def store(stack: LocalStack, name: str, run: RunDetail) -> None:
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    summary = run.run.model_copy(
        update={
            "job_id": IDS[name],
            "name": name,
            "created_at": f"2026-03-04T{HOURS[name]:02d}:30:00.000000+00:00",
            "run_s3_uri": f"s3://{bucket}/runs/{name}/",
        }
    )
    detail = run.model_copy(update={"run": summary, "checkpoints": (), "machine": {"device": "cpu"}})
    store_run(client, S3Store([bucket], client=stack.client("s3")), detail)


@pytest.fixture
def runs(stack: LocalStack) -> LocalStack:
    """A healthy run, and after it one that overfits."""
    overfitting = FAULTY["overfitting, strong"].shape
    store(stack, "first", simulate(replace(HEALTHY["healthy"].shape, epochs=14), seed=1))
    store(stack, "second", simulate(overfitting, seed=1))
    return stack


def test_findings_name_the_fault_its_numbers_and_the_remedy(runs: LocalStack) -> None:
    answer = cli(runs, "findings", "second")
    assert answer.returncode == 0, answer.stderr
    assert "overfitting" in answer.stdout
    assert "eval_loss" in answer.stdout
    [found] = as_json(runs, "findings", IDS["second"])
    assert found["kind"] == "overfitting"
    assert found["evidence"]
    assert found["use_checkpoint"].startswith("checkpoint-")


def test_findings_of_a_healthy_run_say_that_there_are_none(runs: LocalStack) -> None:
    answer = cli(runs, "findings", "first")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "nothing in its" in answer.stdout
    assert as_json(runs, "findings", "first") == []


def test_findings_of_nobody_are_one_sentence_and_a_failure(stack: LocalStack) -> None:
    answer = cli(stack, "findings", "nobody")
    assert answer.returncode != 0
    assert "nobody" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_advice_starts_from_the_newest_run_and_its_command_is_a_valid_request(runs: LocalStack) -> None:
    advice = as_json(runs, "advise")
    assert (advice["based_on"], advice["job_name"]) == ("second", "second-2")
    assert "augment_names" in {change["option"] for change in advice["changes"]}
    job = decode_train_job(json.dumps(advice["message"]), message_id="m-1")
    assert job.job_name == "second-2"
    assert shlex.split(advice["command"])[:3] == ["layoutlm-cli", "train", "second-2"]
    assert as_json(runs, "advise", "--job", "first")["based_on"] == "first"


def test_advice_is_printed_with_reasons_and_what_can_be_expected(runs: LocalStack) -> None:
    answer = cli(runs, "advise", "--target-f1", "0.95", "--faster")
    assert answer.returncode == 0, answer.stderr
    for text in ("augment_names", "this run", "cannot be told", "layoutlm-cli train second-2", '"job_name"'):
        assert text in answer.stdout


def test_the_command_of_an_advice_is_taken_by_submit(runs: LocalStack) -> None:
    words = shlex.split(as_json(runs, "advise")["command"])
    assert words[:2] == ["layoutlm-cli", "train"]
    answer = cli(runs, "submit", "train", *words[2:])
    assert answer.returncode == 0, answer.stderr


def test_without_runs_the_advice_says_what_to_start_with(stack: LocalStack) -> None:
    assert cli(stack, "generate", "--receipts", "12", "--seed", "4").returncode == 0
    advice = as_json(stack, "advise")
    assert (advice["based_on"], advice["changes"]) == (None, [])
    assert advice["command"] == "layoutlm-cli train receipts-1"
    assert "no run to learn from" in advice["notes"][0]
    [change] = as_json(stack, "advise", "--with-data")["changes"]
    assert (change["option"], change["rests_on"]) == ("allowed_labels", "the data")


def test_a_missing_table_setting_is_named(stack: LocalStack) -> None:
    for command in (["findings", "x"], ["advise"]):
        answer = cli(stack, *command, DYNAMO_TABLE_NAME="")
        assert answer.returncode == 78
        assert "DYNAMO_TABLE_NAME" in answer.stderr
