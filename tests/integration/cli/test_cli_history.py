"""`history`, `stats`, `monitor` and `watch`: for people, and as JSON for machines."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from layoutlm_cli.commands.monitor import duration
from layoutlm_cli.commands.watch import sparkline
from layoutlm_cli.main import app
from receipt_dynamo import DynamoClient
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.s3_store import S3Store
from tests.support.records import MakeJob, metrics, write_run_json
from workers.local_aws.local_stack import LocalStack


@pytest.fixture(autouse=True)
def _here(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    # The width of the module's own console is fixed where another test imported it first.
    monkeypatch.setattr("layoutlm_cli.console.console", Console(width=220))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def read(*arguments: str) -> Any:
    answer = invoke(*arguments)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_the_history_shows_scores_epochs_attempts_and_cost(make_job: MakeJob) -> None:
    make_job("old", best_f1=0.5, at=1)
    results = {"best_f1": 0.8123, "best_epoch": 3, "epochs_trained": 5, "early_stopping_triggered": True}
    make_job("new", at=2, **results, train_runtime=120, cost_usd=1.5, metrics_comparable=False)
    shown = invoke("history").output
    assert shown.index("new") < shown.index("old")
    for part in ("0.812", "3 / 5, stopped early", "2.0", "1.50", "no"):
        assert part in shown


def test_the_history_goes_on_where_its_page_ended(make_job: MakeJob) -> None:
    for number in range(3):
        make_job(f"run-{number}", at=number)
    shown = invoke("history", "--limit", "2").output
    assert "run-0" not in shown
    cursor = shown.rpartition("--before ")[2].strip().strip("'")
    rest = invoke("history", "--before", cursor).output
    assert "run-0" in rest
    assert "run-1" not in rest


def test_the_history_for_machines_has_configuration_and_evaluations(
    make_job: MakeJob, storage: S3Store
) -> None:
    job = make_job("demo", best_f1=0.8, options={"learning_rate": 3e-4})
    write_run_json(storage, job, [{"epoch": 1, "eval_f1": 0.4}, {"epoch": 2, "eval_f1": 0.8}])
    make_job("failed-one", "failed", at=5)
    [one] = read("history", "--json", "--status", "succeeded")["runs"]
    assert one["run"]["config"]["learning_rate"] == 3e-4
    assert [epoch["eval_f1"] for epoch in one["epochs"]] == [0.4, 0.8]
    assert len(read("history", "--json", "--all")["runs"]) == 2


def test_the_statistics_name_labels_merchants_and_faults(client: DynamoClient) -> None:
    write_records(client, synthetic.generate(3, 1))
    shown = invoke("stats").output
    for part in ("receipts with a valid label", "PRODUCT_NAME", "VALID", "largest merchants"):
        assert part in shown
    found = read("stats", "--json")
    assert found["receipts"] == 3
    assert {"GRAND_TOTAL", "REFUND"} <= {one["label"] for one in found["labels"]}


def test_the_monitor_shows_what_runs_and_what_that_is_at(client: DynamoClient, make_job: MakeJob) -> None:
    job = make_job("busy", "running", options={"epochs": 4})
    make_job("done", "succeeded", at=3)
    for epoch, at in ((1, 1), (2, 3)):
        client.add_job_metrics(metrics(job, epoch, at, val_f1=0.25 * epoch, memory_used=2_000_000_000))
    shown = invoke("monitor").output
    for part in ("busy", "epoch 2 of 4", "0.500", "2.0 GB", "4 min"):
        assert part in shown
    assert "done" not in shown
    [one] = read("monitor", "--json")["runs"]
    assert (one["run"]["name"], one["seconds_left"]) == ("busy", 240)


@pytest.mark.parametrize(
    ("status", "code", "last"),
    [
        ("succeeded", 0, "best F1 0.9 at epoch 2"),
        ("failed", 65, "failed: no data"),
        ("cancelled", 130, "cancelled"),
    ],
)
def test_watching_ends_with_the_run_and_its_result(
    client: DynamoClient, make_job: MakeJob, status: Any, code: int, last: str
) -> None:
    job = make_job("watched", "running", options={"epochs": 2})
    client.add_job_metrics(metrics(job, 1, 1, val_f1=0.7, eval_loss=0.5))

    def end() -> None:
        time.sleep(1.5)
        client.add_job_metrics(metrics(job, 2, 3, val_f1=0.9, eval_loss=0.3))
        client.update_job_status(
            job.job_id,
            status,
            attempt=None,
            attributes={"error_message": "no data"} if status == "failed" else {},
            results={"best_f1": 0.9, "best_epoch": 2, "best_checkpoint_s3_path": "s3://b/best/"},
        )

    ending = threading.Thread(target=end)
    ending.start()
    answer = invoke("watch", "watched", "--every", "0.2")
    ending.join()
    assert answer.exit_code == code, answer.output
    assert last in answer.output
    assert "0.9000 (best 0.9000)" in answer.output


def test_watching_what_is_not_there_says_so() -> None:
    answer = invoke("watch", "nobody")
    assert answer.exit_code != 0
    assert "no job with the id or the name nobody" in str(answer.exception)


def test_a_sparkline_spans_from_the_least_to_the_greatest() -> None:
    assert sparkline([0, 0.5, 1]) == "▁▅█"
    assert sparkline([3, 3]) == "▁▁"
    assert len(sparkline([float(number) for number in range(500)])) == 60


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, None), (12.4, "12 s"), (29.9, "30 s"), (61, "1 min"), (3600, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_people_do(seconds: float | None, said: str | None) -> None:
    assert duration(seconds) == said
