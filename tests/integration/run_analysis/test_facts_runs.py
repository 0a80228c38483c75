"""Runs as the table has them: in pages, whole, from records of whatever software, in few requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import CoreMLExport, JobCheckpoint, JobLog, JobStatus
from receipt_dynamo.errors import NotFound
from run_analysis.run import read_history, read_last_logs, read_run
from run_analysis.runs import RunSummary, find_run, list_runs
from run_records.epoch_record import LabelFacts
from run_records.s3_store import S3Store
from tests.support.records import MakeJob, metrics, minute, write_run_json

STATUSES = ["succeeded", "failed", "running", "pending", "interrupted", "cancelled"]


def test_pages_hold_every_run_once_newest_first(client: DynamoClient, make_job: MakeJob) -> None:
    # Four of each minute: a page may end between jobs of one moment.
    for number in range(14):
        make_job(f"run-{number}", STATUSES[number % 6], at=number // 4)
    seen: list[RunSummary] = []
    cursor = None
    while True:
        page = list_runs(client, limit=4, cursor=cursor)
        seen += page.runs
        cursor = page.cursor
        if cursor is None:
            break
        assert 0 < len(page.runs) <= 4
    assert sorted(run.name for run in seen) == sorted(f"run-{number}" for number in range(14))
    assert [run.created_at for run in seen] == sorted((run.created_at for run in seen), reverse=True)
    assert seen == list(list_runs(client, limit=None).runs)


def test_runs_that_were_imported_at_one_moment_are_one_page_and_none_is_lost(
    client: DynamoClient, make_job: MakeJob
) -> None:
    for number in range(11):
        make_job(f"run-{number}", STATUSES[number % 6], at=0 if number == 10 else 1)
    first = list_runs(client, limit=3)
    rest = list_runs(client, limit=3, cursor=first.cursor)
    assert {run.name for run in first.runs} == {f"run-{number}" for number in range(10)}
    assert ([run.name for run in rest.runs], rest.cursor) == (["run-10"], None)


def test_a_page_costs_one_query_a_status_however_many_runs_there_are(
    client: DynamoClient, make_job: MakeJob
) -> None:
    for number in range(40):
        make_job(f"run-{number}", STATUSES[number % 6], at=number)
    before = client.request_count
    assert len(list_runs(client, limit=10).runs) == 10
    assert client.request_count - before == len(STATUSES)


def test_runs_of_one_status_alone(client: DynamoClient, make_job: MakeJob) -> None:
    for number, status in enumerate(STATUSES):
        make_job(status, status, at=number)
    assert [run.name for run in list_runs(client, statuses=["failed", "running"]).runs] == [
        "running",
        "failed",
    ]


def test_a_summary_tells_what_was_asked_and_what_came_of_it(client: DynamoClient, make_job: MakeJob) -> None:
    make_job(
        "demo",
        best_f1=0.81,
        best_epoch=3,
        early_stopping_triggered=True,
        metrics_comparable=False,
        val_receipts_hash="abc",
        label_list=["O", "B-DATE", "I-DATE", "B-TAX", "I-TAX"],
        cost_usd=1.25,
        options={"learning_rate": 3e-4},
    )
    run = find_run(client, "demo")
    assert (run.best_f1, run.best_epoch, run.early_stopping_triggered, run.cost_usd) == (0.81, 3, True, 1.25)
    assert run.config["learning_rate"] == 3e-4
    assert "use_spot" not in run.config
    assert run.labels == ("DATE", "TAX")
    assert run.validation == "abc"
    assert run.run_s3_uri is not None
    assert run.run_s3_uri.endswith("/runs/demo/")


def test_results_of_other_software_that_make_no_sense_are_left_out_and_the_rest_is_read(
    client: DynamoClient, make_job: MakeJob
) -> None:
    make_job("odd", best_f1="very good", best_epoch=2, label_list="DATE", num_labels=None, extra={"a": 1})
    run = find_run(client, "odd")
    assert (run.best_f1, run.best_epoch, run.label_list) == (None, 2, ())


def test_a_run_is_read_whole_from_its_records(
    client: DynamoClient, storage: S3Store, make_job: MakeJob
) -> None:
    job = make_job("whole", best_f1=0.5)
    label = {"f1": 0.4, "precision": 0.5, "recall": 0.3, "support": 7}
    write_run_json(
        storage,
        job,
        [
            {"epoch": 2.0, "global_step": 20, "eval_f1": 0.5, "per_label_metrics": {"DATE": label}},
            {
                "epoch": 1.0,
                "global_step": 10,
                "eval_f1": 0.3,
                "eval_loss": "gone",
                "confusion": {"O": {"O": 9}},
            },
            "not an entry",  # type: ignore[list-item]
            {"eval_f1": 0.1},
        ],
        training_config={"epochs": 2, "checkpoint_metric": "label:DATE"},
        resulting_labels=["DATE"],
        split_metadata={"val_receipt_keys": ["a#00001", "b#00001"]},
        dataset_counts={"train_receipts": 18},
    )
    client.add_job_status(JobStatus(job_id=job.job_id, status="running", updated_at=minute(1), attempt=1))
    for step in (10, 20):
        client.add_job_checkpoint(
            JobCheckpoint(
                job_id=job.job_id,
                timestamp=minute(step),
                s3_bucket="b",
                s3_key=f"runs/whole/checkpoints/checkpoint-{step}/",
                size_bytes=1,
                step=step,
                epoch=step // 10,
            )
        )
    client.add_coreml_export_job(
        CoreMLExport(
            export_id="11111111-2222-4333-8444-555555555555",
            job_id=job.job_id,
            model_s3_uri="s3://b/x/",
            created_at=minute(30),
            status="SUCCEEDED",
        )
    )
    before = client.request_count
    detail = read_run(client, storage, "whole")
    assert client.request_count - before <= 7
    assert [(one.epoch, one.eval_f1) for one in detail.epochs] == [(1.0, 0.3), (2.0, 0.5)]
    assert detail.epochs[0].eval_loss is None
    assert detail.epochs[0].confusion == {"O": {"O": 9}}
    assert detail.epochs[1].per_label_metrics["DATE"] == LabelFacts(**label)
    assert (detail.metric, detail.option("epochs"), detail.option("seed")) == ("label:DATE", 2, 42)
    assert detail.best == detail.epochs[1]
    assert (detail.labels, detail.num_val_receipts, detail.dataset_counts) == (
        ("DATE",),
        2,
        {"train_receipts": 18},
    )
    assert [one.status for one in detail.statuses] == ["running"]
    assert [one.step for one in detail.checkpoints] == [10, 20]
    assert detail.checkpoints[1].s3_uri == "s3://b/runs/whole/checkpoints/checkpoint-20/"
    assert [one.status for one in detail.exports] == ["SUCCEEDED"]


@pytest.mark.parametrize("body", [None, b"{", b"[]", b'{"epoch_metrics": 7}'])
def test_without_a_readable_run_json_the_tables_metrics_tell_the_epochs(
    client: DynamoClient, storage: S3Store, make_job: MakeJob, body: bytes | None
) -> None:
    job = make_job("bare", label_list=["O", "B-DATE"])
    if body is not None:
        storage.write(f"s3://{job.storage['bucket']}/{job.storage['run_root_prefix']}run.json", body)
    scores = {"f1": 0.2, "precision": 0.2, "recall": 0.2, "support": 3}
    client.add_job_metrics(
        [
            *metrics(job, 0, 0, num_train_samples=18),
            *metrics(job, 1, 1, val_f1=0.1, train_loss=2.0),
            *metrics(job, 2, 2, val_f1=0.9),
            # The second epoch was repeated by a second attempt.
            *metrics(
                job, 2, 5, attempt=2, val_f1=0.4, label_DATE=scores, confusion_matrix={"O": {"DATE": 2}}
            ),
        ]
    )
    detail = read_run(client, storage, job.job_id)
    first, second = detail.epochs
    assert (first.epoch, first.eval_f1, first.train_loss) == (1, 0.1, 2.0)
    assert (second.eval_f1, second.attempt, second.recorded_at) == (0.4, 2, minute(5))
    assert second.per_label_metrics["DATE"].support == 3
    assert second.confusion == {"O": {"DATE": 2}}
    assert detail.labels == ("DATE",)


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("f1", 2.0),
        ("loss", 1.0),
        ("precision", 1.0),
        ("label:TAX", 1.0),
        ("macro:DATE,TAX", 2.0),
        ("recall", None),
        ("label:TIP", None),
    ],
)
def test_the_best_epoch_is_that_of_the_runs_own_metric(
    client: DynamoClient, storage: S3Store, make_job: MakeJob, metric: str, best: float | None
) -> None:
    job = make_job("metric", options={"checkpoint_metric": metric})

    def labels(date: float, tax: float) -> dict[str, Any]:
        return {"DATE": {"f1": date}, "TAX": {"f1": tax}}

    write_run_json(
        storage,
        job,
        [
            {
                "epoch": 1,
                "eval_f1": 0.5,
                "eval_loss": 0.1,
                "eval_precision": 0.7,
                "per_label_metrics": labels(0.1, 0.6),
            },
            {
                "epoch": 2,
                "eval_f1": 0.6,
                "eval_loss": 0.2,
                "eval_precision": 0.7,
                "per_label_metrics": labels(0.9, 0.5),
            },
        ],
    )
    found = read_run(client, storage, "metric").best
    assert (found.epoch if found else None) == best


def test_the_history_has_every_runs_epochs(client: DynamoClient, storage: S3Store, make_job: MakeJob) -> None:
    for number in range(5):
        job = make_job(f"run-{number}", at=number)
        write_run_json(storage, job, [{"epoch": 1, "eval_f1": number / 10}])
    first = read_history(client, storage, limit=3)
    rest = read_history(client, storage, limit=3, cursor=first.cursor)
    assert [(one.run.name, one.epochs[0].eval_f1) for one in (*first.runs, *rest.runs)] == [
        (f"run-{number}", number / 10) for number in (4, 3, 2, 1, 0)
    ]
    assert rest.cursor is None


def test_the_last_lines_of_a_runs_log(client: DynamoClient, make_job: MakeJob) -> None:
    job = make_job("logged")
    for number in range(4):
        client.add_job_log(
            JobLog(job_id=job.job_id, timestamp=minute(number), log_level="INFO", message=f"line {number}")
        )
    assert [line.message for line in read_last_logs(client, job.job_id, 2)] == ["line 2", "line 3"]


def test_a_run_that_is_not_there_is_named(client: DynamoClient, storage: S3Store) -> None:
    with pytest.raises(NotFound, match="nobody"):
        read_run(client, storage, "nobody")


def test_a_job_that_says_not_where_its_run_lies_is_read_from_the_table(
    client: DynamoClient, storage: S3Store, make_job: MakeJob
) -> None:
    job = make_job("nowhere")
    client.update_job(replace(job, storage={}))
    client.add_job_metrics(metrics(job, 1, 1, val_f1=0.3))
    detail = read_run(client, storage, "nowhere")
    assert (detail.run.run_s3_uri, [one.eval_f1 for one in detail.epochs]) == (None, [0.3])
