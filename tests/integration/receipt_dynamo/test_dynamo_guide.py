"""The Python block of the guides, run line by line as printed, against an emulated table."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from receipt_dynamo import (
    CoreMLExport,
    DynamoClient,
    Job,
    JobMetric,
    NotFound,
    ReceiptWordLabel,
    ResultPage,
)
from receipt_dynamo.clock import now
from receipt_dynamo.entities.field_types import ValidationStatus
from receipt_dynamo.table import create_table
from tests.conftest import SHARED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RECORDS_PAGE = Path(__file__).parents[3] / "docs" / "records.md"
GUIDE = SHARED / "contracts" / "guides.md"
JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
IMAGE_ID = "12345678-1234-4123-8123-123456789012"
TIME = "2025-11-20T14:46:00.123456+00:00"
# What the block leaves open, and what a reader would put there.
OPEN = {
    "JobMetric(job_id=...": "JobMetric(job_id=job_id",
    "job.results = {...}": 'job.results = {"best_f1": 0.9}',
}


def guide_lines() -> list[str]:
    text = GUIDE.read_text(encoding="utf-8")
    [block] = re.findall(r"^## Python\n```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    block = str(block)
    for left_open, filled in OPEN.items():
        assert left_open in block
        block = block.replace(left_open, filled)
    return block.splitlines()


@pytest.fixture
def table(
    dynamo_endpoint: str, raw_dynamo: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DynamoClient]:
    """The table `T` of the guide, where the environment leads to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamo_endpoint)
    create_table(raw_dynamo, "T")
    with closing(DynamoClient(table_name="T", region="us-east-1")) as client:
        yield client
    raw_dynamo.delete_table(TableName="T")


def fill(table: DynamoClient) -> Job:
    job = Job(
        job_id=JOB_ID,
        name="demo",
        description="",
        created_at=TIME,
        created_by="guide",
        status="running",
        priority="medium",
        job_config={"batch_size": 64},
    )
    table.add_job(job)
    other = {"job_id": JOB_ID.replace("4", "5", 1), "status": "succeeded", "name": "before"}
    table.add_job(Job(**{**{name: getattr(job, name) for name in job.__slots__}, **other}))
    scores = {"f1": 0.9, "precision": 0.9, "recall": 0.9, "support": 3}
    for name, value in (("val_f1", 0.9), ("label_MERCHANT_NAME", scores), ("val_f1_strict", 0.7)):
        table.add_job_metric(
            JobMetric(job_id=JOB_ID, metric_name=name, timestamp=TIME, value=value, epoch=1, step=5)
        )
    statuses: list[ValidationStatus] = ["VALID", "VALID", "INVALID"]
    for number, status in enumerate(statuses, start=1):
        table.add_receipt_word_label(
            ReceiptWordLabel(
                image_id=IMAGE_ID,
                receipt_id=1,
                line_id=1,
                word_id=number,
                label="TOTAL",
                validation_status=status,
                timestamp_added=TIME,
            )
        )
    return job


def test_each_line_of_the_guide_runs_as_printed(table: DynamoClient) -> None:
    names: dict[str, Any] = {
        "DynamoClient": DynamoClient,
        "JobMetric": JobMetric,
        "job_id": JOB_ID,
        "timestamp": TIME,
        "job": fill(table),
    }
    lines = guide_lines()
    for line in lines:
        exec(line, names)  # noqa: S102 - the contract's own lines
    assert len(lines) == 10
    assert [metric.metric_name for metric in names["metrics"]] == ["label_MERCHANT_NAME"]
    assert [metric.metric_name for metric in names["label_metrics"]] == ["val_f1"]
    assert names["latest"].name == "before"
    stored = table.get_job(JOB_ID)
    assert (stored.status, stored.results) == ("succeeded", {"best_f1": 0.9})
    succeeded = table.list_jobs_by_status("succeeded").items
    assert {job.job_id for job in succeeded} == {names["latest"].job_id, JOB_ID}
    assert names["CoreMLExportJob"] is CoreMLExport
    assert len(names["CORE_LABELS"]) == 22
    assert all(meaning.endswith(".") for meaning in names["CORE_LABELS"].values())
    assert names["MERGE_PRESETS"]["amounts"]["AMOUNT"][0] == "LINE_TOTAL"


def test_the_snippets_of_the_documentation_run(table: DynamoClient) -> None:
    fill(table)
    names: dict[str, Any] = {"job_id": JOB_ID}
    blocks = re.findall(
        r"^```python\n(.*?)^```", RECORDS_PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    for block in blocks:
        exec(block.replace("ReceiptsTable", "T").replace("layoutlm-demo", "demo"), names)  # noqa: S102
    assert len(blocks) == 2
    assert names["metric"].value == 0.9
    stored = table.get_job(JOB_ID)
    assert (stored.status, stored.results) == ("succeeded", {"best_f1": 0.9})


def test_every_list_call_answers_with_a_pair(table: DynamoClient) -> None:
    fill(table)
    given = {
        "name": "demo",
        "job_id": JOB_ID,
        "metric_name": "val_f1",
        "status": "succeeded",
        "statuses": ["running"],
        "limit": 5,
        "image_id": IMAGE_ID,
        "receipt_id": 1,
        "kind": "train",
        "state": "held",
        "before": now(),
    }
    own = {"list_receipt_word_labels_with_status": "VALID", "get_coreml_export_jobs_by_status": "PENDING"}
    calls = [
        name
        for name in vars(DynamoClient)
        if name.startswith("list_") or "jobs_" in name or "metrics_by" in name or name == "get_job_by_name"
    ]
    assert len(calls) > 15
    for call in calls:
        if call.startswith(("add_", "update_", "delete_")):
            continue
        method = getattr(table, call)
        asked = {
            name: given[name]
            for name in inspect.signature(inspect.unwrap(method)).parameters
            if name in given and name != "limit"
        } | ({"limit": 5} if call in {"list_newest_jobs", "list_last_job_logs"} else {})
        if call in own:
            asked["status"] = own[call]
        page = method(**asked)
        assert isinstance(page, ResultPage), call
        items, key = page
        assert isinstance(items, list), call
        assert key is None, call


def test_pages_of_a_name_go_on_where_the_one_before_ended(table: DynamoClient) -> None:
    job = fill(table)
    job.job_id, job.created_at = JOB_ID.replace("4", "6", 1), TIME.replace("2025", "2026")
    table.add_job(job)
    newest, key = table.get_job_by_name("demo", limit=1)
    assert [one.created_at[:4] for one in newest] == ["2026"]
    older, _ = table.get_job_by_name("demo", last_evaluated_key=key)
    assert [one.created_at[:4] for one in older] == ["2025"]


def test_labels_are_counted_one_by_one_and_all_together(table: DynamoClient) -> None:
    fill(table)
    assert table.count_labels_by_category_and_status("TOTAL", "VALID") == 2
    assert table.count_labels_by_category_and_status("TOTAL", "PENDING") == 0
    assert table.count_labels_by_category_and_status("DATE", "VALID") == 0
    assert table.count_labels_by_category_and_status() == {"TOTAL": {"VALID": 2, "INVALID": 1}}
    with pytest.raises(ValueError, match="Give a label and a validation status, or neither"):
        table.count_labels_by_category_and_status("TOTAL")  # type: ignore[call-overload]


def test_a_metric_that_is_not_there_is_named(table: DynamoClient) -> None:
    fill(table)
    assert table.get_job_metric(JOB_ID, "val_f1", TIME).value == 0.9
    with pytest.raises(NotFound, match="has no metric val_f1 of 2026"):
        table.get_job_metric(JOB_ID, "val_f1", TIME.replace("2025", "2026"))


def test_a_metric_is_of_this_moment_unless_told_otherwise() -> None:
    before = now()
    metric = JobMetric(job_id=JOB_ID, metric_name="val_f1", value=0.9, unit="ratio", epoch=3)
    assert before <= metric.timestamp <= now()


def test_a_field_of_a_job_is_checked_when_it_is_set(table: DynamoClient) -> None:
    job = fill(table)
    with pytest.raises(ValidationError, match="status"):
        job.status = "sleeping"  # type: ignore[assignment]
    with pytest.raises(ValidationError, match="colour"):
        job.colour = "red"  # type: ignore[attr-defined]
    assert job.status == "running"
