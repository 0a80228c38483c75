"""Commands over a table with damaged items: each does its work, and says once what it had to leave out."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from layoutlm_cli.main import app
from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import JobLease
from receipt_dynamo.requests.leases import lease_key
from receipt_dynamo.requests.records import job_key
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.s3_store import S3Store
from tests.support.damage import damage, damaged, put_items, stored_items
from tests.support.records import MakeJob, job_maker, metrics
from tests.support.runs import make_detail
from tests.support.stored_runs import store_run
from workers.local_aws.local_stack import LocalStack

REPORTED: dict[str, dict[str, Any]] = {
    "tags as a set": {"tags": {"SS": ["a", "b"]}},
    "results as text": {"results": {"S": "best_f1=0.8"}},
    "job_config as text": {"job_config": {"S": "{}"}},
    "an unknown status": {"status": {"S": "paused"}},
    "no name": {"name": None},  # nobody's report
}
NO_NUMBERS: tuple[Any, ...] = ({"S": "NaN"}, {"S": "Infinity"}, {"L": []}, {"SS": ["1"]})
COMMANDS = (
    ("jobs",),
    ("jobs", "--status", "succeeded"),
    ("status", "whole"),
    ("history",),
    ("history", "--json", "--all"),
    ("findings", "whole"),
    ("compare", "whole", "another"),
    ("compare", "--group-by", "batch_size"),
    ("monitor",),
    ("monitor", "--json"),
    ("watch", "whole"),
    ("stats",),
    ("stats", "--json"),
    ("advise",),
    ("advise", "--job", "whole", "--with-data"),
    ("report", "whole", "--out", "{folder}/report.html"),
    ("agent-context", "{folder}/context"),
    ("cancel", "whole"),
    ("recover",),
)


def invoke(stack: LocalStack, *arguments: str) -> Result:
    return CliRunner(env=stack.environ).invoke(app, list(arguments))


def client_of(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


def fill(stack: LocalStack) -> MakeJob:
    """Two runs with all that belongs to one, one that is under way, and a few receipts."""
    client = client_of(stack)
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    for seed, name in enumerate(("whole", "another")):
        bucket = stack.environ["LAYOUTLM_TRAINING_BUCKET"]
        store_run(client, storage, make_detail(4, seed=seed, name=name, bucket=bucket))
    make = job_maker(client, stack)
    running = make("running", "running", at=5, options={"epochs": 4})
    client.add_job_metrics(metrics(running, 1, 6, val_f1=0.5, eval_loss=0.4))
    client.claim_lease(
        running.job_id,
        kind="train",
        claim_id="c",
        worker="w",
        now="2026-02-03T00:00:00.000000+00:00",
        expires_at="2026-02-03T00:10:00.000000+00:00",
        body=json.dumps({"job_id": running.job_id, "job_name": "running"}),
    )
    write_records(client, synthetic.generate(2, 1))
    return make


@pytest.mark.parametrize("changes", REPORTED.values(), ids=REPORTED)
def test_a_damaged_job_is_named_once_and_all_others_are_shown(
    stack: LocalStack, changes: dict[str, Any]
) -> None:
    make = job_maker(client_of(stack), stack)
    make("whole", best_f1=0.5, at=1)
    broken = make("broken", at=2)
    damage(stack, job_key(broken.job_id), **changes)
    for command in (("jobs",), ("history",), ("findings", "whole"), ("compare", "--group-by", "seed")):
        answer = invoke(stack, *command)
        assert answer.exit_code == 0, (command, answer.output)
        assert answer.stderr.count("1 item of the table is no whole record and is left out: JOB JOB#") == 1
        assert broken.job_id in answer.stderr
        assert "whole" in answer.stdout
        assert broken.job_id not in answer.stdout
    of_its_own = invoke(stack, "status", broken.job_id)
    assert f"JOB#{broken.job_id}" in str(of_its_own.exception)


def test_status_goes_on_past_metrics_and_results_that_are_no_numbers(stack: LocalStack) -> None:
    client, make = client_of(stack), job_maker(client_of(stack), stack)
    job = make("demo", best_f1="high", best_epoch="7th", metrics_comparable="perhaps")
    for number, value in enumerate(NO_NUMBERS):
        [metric] = metrics(job, 1, number, val_f1=0.5)
        put_items(stack, {**metric.to_item(), "value": value})
    client.add_job_metrics(metrics(job, 2, 9, val_f1=0.625, labels={"DATE": {"f1": "high"}}))
    damage(stack, job_key(job.job_id), storage={"M": {"bucket": {"N": "1"}}})
    lease = JobLease(
        kind="train", owner_id=job.job_id, state="free", attempt=3, expires_at=job.created_at
    ).to_item()
    put_items(stack, {**lease, "failures": {"L": [{"S": "once"}]}})
    answer = invoke(stack, "status", "demo")
    assert answer.exit_code == 0, answer.output
    assert "0.625" in answer.stdout
    assert "5 items of the table are no whole records" in answer.stderr
    assert "and 2 more" in answer.stderr
    damage(stack, lease_key("train", job.job_id), TYPE=None)
    assert invoke(stack, "monitor").exit_code == 0


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_every_command_does_its_work_among_damaged_items(
    emulator: Any, tmp_path_factory: pytest.TempPathFactory, draw: Any
) -> None:
    stack = LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")
    fill(stack)
    put_items(stack, *draw.draw(damaged(stored_items(stack), least=60, most=120)))
    folder: Path = tmp_path_factory.mktemp("commands")
    for command in COMMANDS:
        answer = invoke(stack, *(part.format(folder=folder) for part in command))
        assert answer.exit_code == 0, (command, answer.output, answer.exception)
        assert answer.stderr.count("left out: ") <= 1, command
