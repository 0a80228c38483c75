"""The helper scripts as guides print them: keys of their JSON, defaults, and their functions."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobLog, JobStatus
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.s3_store import S3Store
from tests.integration.mcp_server.conftest import ROOT
from tests.support.records import job_maker, metrics, write_run_json
from workers.local_aws.local_stack import LocalStack

FUNCTIONS = {
    "agent_analyze_training_history": "analyze_training_history",
    "agent_dataset_stats": "get_dataset_stats",
    "agent_monitor_training": "monitor_active_training",
}
HISTORY_KEYS = {"job_id", "job_name", "created_at", "config", "best_f1", "best_epoch", "epochs"}
STATISTICS_KEYS = {"total_receipts", "label_counts", "total_valid_labels", "label_distribution"}
MONITOR_KEYS = {
    "job_id",
    "job_name",
    "status",
    "started_at",
    "config",
    "latest_epoch",
    "latest_f1",
    "all_epochs",
    "recent_logs",
}
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(stack: LocalStack) -> Script:
    """Run a script as a shell does in the activated environment: by its path alone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"scripts/{name}.py", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=stack.child_environ(PATH=path, **environ),
        )

    return run


@pytest.fixture(scope="module")
def client(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


@pytest.fixture(scope="module", autouse=True)
def _recorded(stack: LocalStack, client: DynamoClient) -> None:
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    make = job_maker(client, stack)
    make("worse", at=1, best_f1=0.6, best_epoch=1)
    best = make("better", at=2, best_f1=0.8, best_epoch=1, options={"batch_size": 64})
    times = {"recorded_at": now()}
    write_run_json(
        storage, best, [{"epoch": 0.5, "eval_f1": 0.5, **times}, {"epoch": 1.5, "eval_f1": 0.8, **times}]
    )
    make("refused", "failed", at=3)
    write_records(client, synthetic.generate(2, 1))


def parsed(answer: subprocess.CompletedProcess[str]) -> Any:
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_the_history_lists_the_best_run_first(run: Script) -> None:
    found = parsed(run("agent_analyze_training_history"))
    assert found["total_runs"] == len(found["runs"]) == 3
    assert [one["job_name"] for one in found["runs"]] == ["better", "worse", "refused"]
    assert all(set(one) >= HISTORY_KEYS for one in found["runs"])
    best = found["runs"][0]
    assert (best["best_f1"], best["best_epoch"], best["config"]["batch_size"]) == (0.8, 1, 64)
    assert [(one["epoch"], one["f1"]) for one in best["epochs"]] == [(0, 0.5), (1, 0.8)]
    assert all(one["timestamp"] for one in best["epochs"])


def test_the_statistics_count_valid_labels_as_the_table_has_them(run: Script, client: DynamoClient) -> None:
    found = parsed(run("agent_dataset_stats", client.table_name))
    assert set(found) >= STATISTICS_KEYS
    assert found["total_receipts"] == 2
    table = client.count_labels_by_category_and_status()
    expected = {label: counts["VALID"] for label, counts in table.items() if "VALID" in counts}
    assert {label: count for label, count in found["label_counts"].items() if count} == expected
    assert found["total_valid_labels"] == sum(expected.values())
    assert sum(found["label_distribution"].values()) == pytest.approx(1)


def test_the_monitor_says_that_nothing_runs_and_then_what_runs(
    run: Script, stack: LocalStack, client: DynamoClient
) -> None:
    assert parsed(run("agent_monitor_training"))["status"] == "no_active_jobs"
    job = job_maker(client, stack)("running", "running", at=5, options={"epochs": 4})
    client.add_job_metrics(metrics(job, 1, 6, val_f1=0.25) + metrics(job, 2, 7, val_f1=0.5))
    started = now()
    client.add_job_status(JobStatus(job_id=job.job_id, status="running", updated_at=started))
    client.add_job_log(JobLog(job_id=job.job_id, log_level="INFO", message="epoch 2, step 20: F1 0.5"))
    job_maker(client, stack)("waiting", "pending", at=9)
    try:
        found = parsed(run("agent_monitor_training"))
    finally:
        client.delete_job(job)
        client.delete_job(client.get_job_by_name("waiting").items[0])
    assert set(found) >= MONITOR_KEYS
    assert (found["job_name"], found["status"], found["started_at"]) == ("running", "running", started)
    assert (found["latest_epoch"], found["latest_f1"], found["config"]["epochs"]) == (2, 0.5, 4)
    assert [(one["epoch"], one["f1"]) for one in found["all_epochs"]] == [(1, 0.25), (2, 0.5)]
    assert found["recent_logs"][-1]["message"] == "epoch 2, step 20: F1 0.5"


@pytest.mark.parametrize("script", FUNCTIONS)
def test_a_script_is_a_function_of_other_programs(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Script, script: str
) -> None:
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    function = getattr(importlib.import_module(script), FUNCTIONS[script])
    table = stack.environ["DYNAMO_TABLE_NAME"]
    out = tmp_path / "out.json"
    returned = function(table_name=table, output_file=str(out))
    assert json.loads(out.read_text(encoding="utf-8")) == returned
    assert set(parsed(run(script, table))) == set(returned)


@pytest.mark.parametrize("script", FUNCTIONS)
def test_without_a_table_a_script_says_what_to_set(run: Script, script: str) -> None:
    answer = run(script, DYNAMO_TABLE_NAME="")
    assert (answer.returncode, answer.stdout) == (78, "")
    assert answer.stderr.startswith("error: ")
    assert "DYNAMO_TABLE_NAME" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_the_history_needs_no_bucket_in_the_environment(run: Script) -> None:
    """The job's own record names it, as for an export."""
    found = parsed(run("agent_analyze_training_history", LAYOUTLM_TRAINING_BUCKET=""))
    assert found["runs"][0]["epochs"]
