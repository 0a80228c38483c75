from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from receipt_dynamo.entities import CoreMLExport, Job, JobLog, JobMetric, JobStatus
from receipt_dynamo.errors import AlreadyExists, ConditionFailed, InvalidItem, ItemTooLarge, NotFound

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
EXPORT_ID = "11111111-2222-4333-8444-555555555555"


def minute(number: int) -> str:
    return f"2025-11-20T14:{number:02d}:00.000000+00:00"


def a_job(**changes: Any) -> Job:
    given: dict[str, Any] = {"job_id": JOB_ID, "name": "demo", "description": "", "created_by": "system"}
    state = {"status": "pending", "priority": "medium", "created_at": minute(0), "job_config": {"epochs": 3}}
    return Job(**(given | state | changes))


def a_metric(number: int, name: str = "eval_f1", job_id: str = JOB_ID) -> JobMetric:
    return JobMetric(job_id=job_id, metric_name=name, timestamp=minute(number), value=number / 100)


def an_export(**changes: Any) -> CoreMLExport:
    given: dict[str, Any] = {
        "export_id": EXPORT_ID,
        "job_id": JOB_ID,
        "model_s3_uri": "s3://b/runs/demo/best/",
    }
    return CoreMLExport(**(given | {"created_at": minute(0), "status": "PENDING"} | changes))


def test_a_job_that_was_added_is_found_and_not_added_twice(dynamo: Any) -> None:
    dynamo.add_job(a_job())
    assert dynamo.get_job(JOB_ID) == a_job()
    with pytest.raises(AlreadyExists, match=r"JOB#.* exists already") as caught:
        dynamo.add_job(a_job(name="other"))
    assert caught.value.item == a_job().to_item()


def test_a_job_that_is_not_there_is_named(dynamo: Any) -> None:
    with pytest.raises(NotFound, match=f"JOB#{JOB_ID} does not exist in receipts-"):
        dynamo.get_job(JOB_ID)


def test_an_update_sets_what_is_given_and_removes_what_is_left_out(dynamo: Any) -> None:
    dynamo.add_job(a_job(tags={"a": "b"}, error_message="old"))
    changed = a_job(status="running", description="new")
    dynamo.update_job(changed)
    assert dynamo.get_job(JOB_ID) == changed
    assert dynamo.list_jobs_by_status("running").items == [changed]


def test_a_record_that_is_gone_is_neither_updated_nor_deleted(dynamo: Any) -> None:
    dynamo.add_job(a_job())
    dynamo.delete_job(a_job())
    for change in (dynamo.update_job, dynamo.delete_job):
        with pytest.raises(NotFound, match="Add it first"):
            change(a_job())


def test_jobs_of_a_name_come_newest_first(dynamo: Any) -> None:
    old, new = a_job(job_id=str(uuid.uuid4())), a_job(created_at=minute(5))
    for job in (old, new, a_job(job_id=str(uuid.uuid4()), name="other")):
        dynamo.add_job(job)
    assert dynamo.get_job_by_name("demo").items == [new, old]
    assert dynamo.get_job_by_name("unknown").items == []


def test_a_status_partition_shared_with_job_statuses_gives_jobs_only(dynamo: Any) -> None:
    jobs = [a_job(job_id=str(uuid.uuid4()), status="running", created_at=minute(n)) for n in range(5)]
    for number, job in enumerate(jobs):
        dynamo.add_job(job)
        dynamo.add_job_status(JobStatus(job_id=job.job_id, status="running", updated_at=minute(number)))
    assert dynamo.list_jobs_by_status("running").items == jobs
    first = dynamo.list_jobs_by_status("running", limit=3)
    assert first.items == jobs[:3]
    rest = dynamo.list_jobs_by_status("running", limit=3, last_evaluated_key=first.last_evaluated_key)
    assert rest.items == jobs[3:]
    assert rest.last_evaluated_key is None
    assert dynamo.get_latest_job_by_status("running") == jobs[-1]
    assert dynamo.get_latest_job_by_status("failed") is None


def test_every_job_is_listed_page_by_page(dynamo: Any) -> None:
    for _ in range(5):
        dynamo.add_job(a_job(job_id=str(uuid.uuid4())))
    found, key = [], None
    while True:
        page = dynamo.list_jobs(2, key)
        found += page.items
        key = page.last_evaluated_key
        if key is None:
            break
    assert len({job.job_id for job in found}) == len(found) == 5
    assert len(dynamo.list_jobs().items) == 5


def test_a_page_of_nothing_is_refused(dynamo: Any) -> None:
    with pytest.raises(ValueError, match="Pass a number from 1 on, or None"):
        dynamo.list_jobs(limit=0)


def test_metrics_are_written_in_batches_and_read_by_job_and_name(dynamo: Any) -> None:
    other = str(uuid.uuid4())
    metrics = [a_metric(number) for number in range(27)]
    before = dynamo.request_count
    dynamo.add_job_metrics([*metrics, metrics[0], a_metric(1, "eval_f1_macro"), a_metric(0, job_id=other)])
    assert dynamo.request_count - before == 2
    assert dynamo.list_job_metrics(JOB_ID, "eval_f1").items == metrics
    assert len(dynamo.list_job_metrics(JOB_ID).items) == 28
    assert dynamo.list_job_metrics(JOB_ID, "eval_f1", limit=3).items == metrics[:3]
    assert [metric.timestamp for metric in dynamo.get_metrics_by_name("eval_f1").items][:3] == [
        minute(0),
        minute(0),
        minute(1),
    ]
    across = [metric.job_id for metric in dynamo.get_metrics_by_name_across_jobs("eval_f1").items]
    assert across == sorted(across)
    assert len(across) == 28


def test_a_metric_that_is_not_a_number_is_refused_before_anything_is_sent(dynamo: Any) -> None:
    bad = JobMetric(job_id=JOB_ID, metric_name="eval_loss", timestamp=minute(1), value=float("nan"))
    with pytest.raises(InvalidItem, match="METRIC#eval_loss"):
        dynamo.add_job_metrics([a_metric(0), bad])
    assert dynamo.request_count == 0


def test_the_log_of_a_job_is_read_oldest_first_without_its_metrics(dynamo: Any) -> None:
    logs = [
        JobLog(job_id=JOB_ID, timestamp=minute(number), log_level="INFO", message=str(number))
        for number in range(3)
    ]
    for log in reversed(logs):
        dynamo.add_job_log(log)
    dynamo.add_job_metric(a_metric(0))
    assert dynamo.list_job_logs(JOB_ID).items == logs


def test_a_status_update_writes_what_is_meant_and_nothing_else(dynamo: Any) -> None:
    dynamo.add_job(a_job(tags={"keep": "me"}))
    dynamo.update_job_status(JOB_ID, "failed", attempt=2, attributes={"error_message": "no data"})
    assert dynamo.get_job(JOB_ID) == a_job(
        tags={"keep": "me"}, status="failed", attempt=2, error_message="no data"
    )
    assert dynamo.list_jobs_by_status("pending").items == []


def test_a_stale_attempt_cannot_update_the_job(dynamo: Any) -> None:
    dynamo.add_job(a_job())
    dynamo.update_job_status(JOB_ID, "running", attempt=3)
    with pytest.raises(ConditionFailed, match="at attempt 3, past this writer's 2: another worker has it"):
        dynamo.update_job_status(JOB_ID, "succeeded", attempt=2, results={"best_f1": 0.9})
    assert dynamo.get_job(JOB_ID) == a_job(status="running", attempt=3)
    dynamo.update_job_status(JOB_ID, "succeeded", attempt=3, results={"best_f1": 0.7})
    with pytest.raises(ConditionFailed):
        dynamo.update_job_status(JOB_ID, "failed", attempt=2, results={"best_f1": 0.9})
    dynamo.update_job_status(JOB_ID, "cancelled", attempt=None)
    assert dynamo.get_job(JOB_ID) == a_job(status="cancelled", attempt=3, results={"best_f1": 0.7})


def test_an_update_never_makes_half_a_record(dynamo: Any) -> None:
    with pytest.raises(NotFound, match="does not exist, so it was not updated"):
        dynamo.update_job_status(JOB_ID, "running", attempt=1)
    with pytest.raises(NotFound, match="does not exist, so it was not updated"):
        dynamo.merge_job_results(JOB_ID, {"best_f1": 0.5})
    with pytest.raises(NotFound, match="does not exist, so it was not updated"):
        dynamo.update_coreml_export_status(EXPORT_ID, "RUNNING", attempt=1)
    assert dynamo.list_jobs().items == []


def test_results_are_merged_whether_there_are_any_yet(dynamo: Any) -> None:
    dynamo.add_job(a_job())
    dynamo.update_job_status(JOB_ID, "succeeded", attempt=1, results={"best_f1": 0.7, "label_list": ["O"]})
    dynamo.merge_job_results(JOB_ID, {"coreml_export_id": EXPORT_ID})
    dynamo.update_job_status(JOB_ID, "succeeded", attempt=1, results={"best_f1": 0.8})
    assert dynamo.get_job(JOB_ID).results == {
        "best_f1": 0.8,
        "label_list": ["O"],
        "coreml_export_id": EXPORT_ID,
    }


def test_exports_are_found_by_id_job_and_status(dynamo: Any) -> None:
    dynamo.add_coreml_export_job(an_export())
    changes: dict[str, Any] = {
        "completed_at": minute(2),
        "bundle_s3_uri": "s3://b/c/",
        "model_size_bytes": 5,
    }
    dynamo.update_coreml_export_status(EXPORT_ID, "SUCCEEDED", attempt=1, attributes=changes)
    expected = replace(an_export(status="SUCCEEDED", attempt=1), **changes)
    assert dynamo.get_coreml_export_job(EXPORT_ID) == expected
    assert dynamo.get_coreml_export_jobs_for_job(JOB_ID).items == [expected]
    assert dynamo.get_coreml_export_jobs_by_status("SUCCEEDED").items == [expected]
    assert dynamo.get_coreml_export_jobs_by_status("PENDING").items == []


def test_a_stale_attempt_cannot_update_the_export(dynamo: Any) -> None:
    dynamo.add_coreml_export_job(an_export(attempt=3))
    with pytest.raises(ConditionFailed, match="at attempt 3, past this writer's 1"):
        dynamo.update_coreml_export_status(EXPORT_ID, "FAILED", attempt=1)


def test_an_item_beyond_400_kb_is_refused_with_what_to_do(dynamo: Any) -> None:
    with pytest.raises(ItemTooLarge, match=r"exceeds 400 KB .* Put the large part in S3"):
        dynamo.add_job(a_job(description="x" * 420_000))
