"""A training's rows, read as other software reads them: plain boto3, `int()` of the attributes."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from receipt_layoutlm.training.run import train
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, read_json
from workers.local_aws.local_stack import LocalStack

Row = dict[str, Any]
UNITS = {
    "val_f1": "ratio",
    "val_precision": "ratio",
    "val_recall": "ratio",
    "eval_loss": "loss",
    "train_loss": "loss",
    "learning_rate": "rate",
    "label_DATE": "per_label",
    "confusion_matrix": "matrix",
}
DATASET_UNITS = {
    "num_train_samples": "count",
    "num_val_samples": "count",
    "o_entity_ratio_train": "ratio",
    "o_entity_ratio_val": "ratio",
}


def rows_of(stack: LocalStack, job_id: str) -> dict[str, list[Row]]:
    """The rows of a job's partition by their TYPE."""
    pages = (
        stack.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.environ["DYNAMO_TABLE_NAME"],
            KeyConditionExpression="PK = :job",
            ExpressionAttributeValues={":job": {"S": f"JOB#{job_id}"}},
        )
    )
    found: dict[str, list[Row]] = defaultdict(list)
    for page in pages:
        for row in page["Items"]:
            found[row["TYPE"]["S"]].append(row)
    return found


def history_of(rows: list[Row], name: str) -> list[tuple[int, int, float]]:
    """Epoch, step and value of one metric, as dashboards list them."""
    return sorted(
        (int(row["epoch"]["N"]), int(row["step"]["N"]), float(row["value"]["N"]))
        for row in rows
        if row["metric_name"]["S"] == name
    )


@pytest.mark.parametrize("by_steps", [False, True])
def test_every_list_of_another_reader_can_take_its_integers(
    make_task: MakeTask, aws: LocalStack, storage: S3Store, *, by_steps: bool
) -> None:
    task = make_task(
        allowed_labels=["DATE", "TAX"], early_stopping_patience=0, **({"eval_steps": 2} if by_steps else {})
    )
    results = train(task, Reporter(None), StopRequested()).results
    rows = rows_of(aws, task.job.job_id)
    epochs = [(0, 2), (0, 4), (1, 6), (1, 8), (2, 10)] if by_steps else [(1, 5), (2, 10)]
    for name in ("val_f1", "eval_loss", "train_loss", "learning_rate"):
        assert [entry[:2] for entry in history_of(rows["JOB_METRIC"], name)] == epochs
    assert [(int(one["epoch"]["N"]), int(one["step"]["N"])) for one in rows["JOB_CHECKPOINT"]] == epochs
    # Only run.json has fractions.
    history = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    assert [one["epoch"] for one in history] == ([0.4, 0.8, 1.2, 1.6, 2.0] if by_steps else [1, 2])
    best = max(history, key=lambda one: one["eval_f1"])
    assert (results["best_epoch"], results["best_step"]) == (int(best["epoch"]), best["global_step"])
    assert type(results["best_epoch"]) is int
    assert [int(one["step"]["N"]) for one in rows["JOB_CHECKPOINT"] if one["is_best"]["BOOL"]] == [
        best["global_step"]
    ]


def test_units_and_shapes_are_the_ones_that_others_expect(make_task: MakeTask, aws: LocalStack) -> None:
    task = make_task(allowed_labels=["DATE", "TAX"])
    train(task, Reporter(None), StopRequested())
    metrics = rows_of(aws, task.job.job_id)["JOB_METRIC"]
    units = {row["metric_name"]["S"]: row["unit"]["S"] for row in metrics}
    assert {**UNITS, **DATASET_UNITS}.items() <= units.items()
    for row in metrics:
        is_of_run = row["metric_name"]["S"] in DATASET_UNITS
        assert (("epoch" not in row), ("step" not in row)) == (is_of_run, is_of_run)
    label = next(row["value"]["M"] for row in metrics if row["metric_name"]["S"] == "label_DATE")
    assert set(label) == {"f1", "precision", "recall", "support"}
    matrix = next(row["value"]["M"] for row in metrics if row["metric_name"]["S"] == "confusion_matrix")
    assert set(matrix) == {"labels", "matrix"}
    labels = [one["S"] for one in matrix["labels"]["L"]]
    counts = [[int(one["N"]) for one in row["L"]] for row in matrix["matrix"]["L"]]
    assert set(labels) <= {"DATE", "TAX", "O"}
    assert [len(row) for row in counts] == [len(labels)] * len(labels)
    assert sum(map(sum, counts)) > 0


def test_the_log_has_a_line_of_each_evaluation_and_ends_with_the_summary(
    make_task: MakeTask, aws: LocalStack, storage: S3Store
) -> None:
    task = make_task()
    train(task, Reporter(None), StopRequested())
    logs = sorted(rows_of(aws, task.job.job_id)["JOB_LOG"], key=lambda row: row["SK"]["S"])
    first, *evaluations, last = [row["message"]["S"] for row in logs]
    assert json.loads(first)["type"] == "run_config"
    assert [line.partition(":")[0] for line in evaluations] == ["epoch 1, step 5", "epoch 2, step 10"]
    assert all(": F1 " in line and "validation loss" in line for line in evaluations)
    assert sum("(best)" in line for line in evaluations) >= 1
    summary = json.loads(last)
    assert (summary["type"], summary["status"]) == ("run_summary", "succeeded")
    assert type(summary["best_epoch"]) is int
    assert len(summary["epoch_metrics"]) == 2
    counts = read_json(storage, f"{task.run_s3_uri}run.json")["dataset_counts"]
    assert counts["num_lines"] == counts["num_lines_train"] + counts["num_lines_val"] > 0
    assert counts == json.loads(first)["data"]["dataset_counts"]
