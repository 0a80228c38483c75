"""The results Lambda: each result is recorded once, none is lost, and the worker's own records stand."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.lambdas.process_results import handler
from messages.export import ExportJob
from messages.train import TrainJob
from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import read_time
from receipt_dynamo.entities import CoreMLExport, Job
from receipt_dynamo.errors import Throttled
from tests.integration.lambdas.conftest import Context, Surroundings
from tests.support.work import export_bench
from workers.jobs.job_record import job_record
from workers.jobs.queue_export import export_record

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
NOON = 1_770_120_000_000
"""2026-02-03T12:00:00Z in milliseconds, as SQS says when a message was sent."""
NOTHING: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture(autouse=True)
def training(lambdas: Surroundings) -> None:
    request = TrainJob.model_validate({"job_id": JOB_ID, "job_name": "demo"})
    record = job_record(request, lambdas.stack.settings.runs / "demo/", status="succeeded")
    lambdas.table.add_job(replace(record, results={"best_f1": 0.5}))


def pending(lambdas: Surroundings, **fields: Any) -> str:
    """The record of an export that is asked for; returns its id."""
    job = ExportJob.model_validate(
        {
            "export_id": str(uuid.uuid4()),
            "job_id": JOB_ID,
            "model_s3_uri": "s3://bucket/runs/demo/best/",
            "output_s3_prefix": "s3://bucket/coreml/demo/",
            **fields,
        }
    )
    lambdas.table.add_coreml_export_job(export_record(job, JOB_ID))
    return job.export_id


def older(export_id: str, **fields: Any) -> dict[str, Any]:
    """A result as senders in the field write it."""
    return {
        "export_id": export_id,
        "job_id": "demo",
        "status": "SUCCEEDED",
        "mlpackage_s3_uri": "s3://bucket/coreml/demo/LayoutLM.mlpackage/",
        "bundle_s3_uri": "s3://bucket/coreml/demo/",
        "canonical_bundle_s3_uri": "s3://bucket/coreml/layoutlm-coreml-bundle.zip",
        "canonical_bundle_etag": "0a1b2c",
        "model_size_bytes": 226_000_000,
        "export_duration_seconds": 41.25,
        **fields,
    }


def failed(export_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "export_id": export_id,
        "job_id": "demo",
        "status": "FAILED",
        "error_message": "no checkpoint",
        "export_duration_seconds": 1.5,
        **fields,
    }


def batch(*bodies: Any, sent_at: int = NOON) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"message-{n}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"SentTimestamp": str(sent_at + n)},
                "eventSource": "aws:sqs",
            }
            for n, body in enumerate(bodies)
        ]
    }


def seen(lambdas: Surroundings, export_id: str) -> tuple[CoreMLExport, Job]:
    return lambdas.table.get_coreml_export_job(export_id), lambdas.table.get_job(JOB_ID)


def test_an_older_senders_result_completes_export_and_training(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    assert handler(batch(older(export_id)), context) == NOTHING
    export, job = seen(lambdas, export_id)
    assert (export.status, export.model_size_bytes, export.export_duration_seconds) == (
        "SUCCEEDED",
        226_000_000,
        41.25,
    )
    assert export.completed_at == "2026-02-03T12:00:00.000000+00:00"
    assert job.status == "succeeded"
    assert job.results == {
        "best_f1": 0.5,
        "coreml_export_id": export_id,
        "coreml_bundle_s3_uri": "s3://bucket/coreml/demo/",
        "coreml_mlpackage_s3_uri": "s3://bucket/coreml/demo/LayoutLM.mlpackage/",
        "coreml_canonical_bundle_s3_uri": "s3://bucket/coreml/layoutlm-coreml-bundle.zip",
        "coreml_canonical_bundle_etag": "0a1b2c",
        "coreml_canonical_bundle_replaced": None,
        "coreml_model_size_bytes": 226_000_000,
        "coreml_exported_at": export.completed_at,
    }


def test_what_a_training_notes_as_a_moment_and_is_none_stops_no_result(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    lambdas.table.merge_job_results(JOB_ID, {"coreml_exported_at": "9999-12-31T23:59:59-14:00"})
    assert handler(batch(older(export_id)), context) == {"batchItemFailures": []}
    export, job = seen(lambdas, export_id)
    assert job.results["coreml_exported_at"] == export.completed_at


def test_a_result_that_is_delivered_again_changes_nothing(
    lambdas: Surroundings, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = pending(lambdas)
    handler(batch(older(export_id)), context)
    before = seen(lambdas, export_id)

    def written(*_: Any, **__: Any) -> None:
        raise AssertionError("a second write")

    monkeypatch.setattr(DynamoClient, "update_coreml_export_status", written)
    monkeypatch.setattr(DynamoClient, "merge_job_results", written)
    assert handler(batch(older(export_id), sent_at=NOON + 60_000), context) == NOTHING
    assert seen(lambdas, export_id) == before


def test_a_failure_is_recorded_with_its_reason_and_leaves_the_training_alone(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    assert handler(batch(failed(export_id)), context) == NOTHING
    export, job = seen(lambdas, export_id)
    assert (export.status, export.error_message) == ("FAILED", "no checkpoint")
    assert job.results == {"best_f1": 0.5}


def test_one_bad_result_of_a_batch_is_given_back_and_the_others_are_recorded(
    lambdas: Surroundings, context: Context
) -> None:
    first, last = pending(lambdas), pending(lambdas)
    unknown = str(uuid.uuid4())
    answer = handler(
        batch(
            older(first),
            "no json",
            older(first, bundle_s3_uri=None),
            {"job_id": JOB_ID, "status": "succeeded", "result_id": str(uuid.uuid4()), "attempt": 1},
            older(unknown),
            failed(last),
        ),
        context,
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"message-{n}"} for n in (1, 2, 3, 4)]}
    assert [lambdas.table.get_coreml_export_job(one).status for one in (first, last)] == [
        "SUCCEEDED",
        "FAILED",
    ]


def test_a_result_with_fields_that_are_not_known_yet_is_recorded(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    newer = older(export_id, result_id=str(uuid.uuid4()), attempt=2, energy_joules=5, stage_seconds={"x": 1})
    assert handler(batch(newer), context) == NOTHING
    export, _ = seen(lambdas, export_id)
    assert (export.attempt, export.stage_seconds) == (2, {"x": 1.0})


@pytest.mark.parametrize("operation", ["update_coreml_export_status", "merge_job_results", "get_job"])
def test_what_a_throttled_table_could_not_take_is_recorded_at_the_next_delivery(
    lambdas: Surroundings, context: Context, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    first, second = pending(lambdas), pending(lambdas)
    works, left = getattr(DynamoClient, operation), [Throttled("slow down")]

    def throttled(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return works(*arguments, **options)

    monkeypatch.setattr(DynamoClient, operation, throttled)
    event = batch(older(first), older(second))
    assert handler(event, context) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert handler({"Records": event["Records"][:1]}, context) == NOTHING
    assert [lambdas.table.get_coreml_export_job(one).status for one in (first, second)] == ["SUCCEEDED"] * 2
    # Sent a millisecond later, the second one's bundle is the newer one.
    assert lambdas.table.get_job(JOB_ID).results["coreml_export_id"] == second


def test_a_defect_that_one_result_brings_out_keeps_no_other_from_being_recorded(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    event = batch(older(export_id), older(export_id))
    event["Records"][0]["attributes"] = {"SentTimestamp": "not a time"}
    assert handler(event, context) == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert seen(lambdas, export_id)[0].status == "SUCCEEDED"


@pytest.mark.parametrize("late", [older, failed])
def test_an_older_attempts_result_does_not_overwrite_a_newer_one(
    lambdas: Surroundings, context: Context, late: Any
) -> None:
    export_id = pending(lambdas)
    newer = {"attempt": 3, "result_id": str(uuid.uuid4())}
    handler(batch(older(export_id, **newer)), context)
    before = seen(lambdas, export_id)
    stale = late(export_id, **{**newer, "attempt": 2}, export_duration_seconds=9.0)
    assert handler(batch(stale, late(export_id), sent_at=NOON + 60_000), context) == NOTHING
    assert seen(lambdas, export_id) == before


def test_a_later_attempt_counts_whatever_an_earlier_one_said_and_when(
    lambdas: Surroundings, context: Context
) -> None:
    export_id, other = pending(lambdas), pending(lambdas)
    first, second = ({"attempt": n, "result_id": str(uuid.uuid4())} for n in (1, 2))
    handler(batch(older(export_id, **first)), context)
    handler(batch(failed(export_id, **second), sent_at=NOON - 60_000), context)
    export, _ = seen(lambdas, export_id)
    assert (export.status, export.attempt) == ("FAILED", 2)

    handler(batch(older(other, **second)), context)
    handler(batch(older(other, **first, canonical_bundle_etag="stale")), context)
    assert seen(lambdas, other)[1].results["coreml_canonical_bundle_etag"] == "0a1b2c"


def test_of_two_results_without_attempts_the_one_sent_later_counts_and_a_success_stays(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    handler(batch(failed(export_id), sent_at=NOON), context)
    handler(batch(older(export_id, canonical_bundle_etag="new"), sent_at=NOON + 1000), context)
    second = seen(lambdas, export_id)
    handler(batch(older(export_id, model_size_bytes=1), sent_at=NOON + 500), context)
    handler(batch(failed(export_id), sent_at=NOON + 5000), context)
    assert seen(lambdas, export_id) == second
    assert second[0].error_message is None
    assert second[1].results["coreml_canonical_bundle_etag"] == "new"


def test_an_earlier_exports_late_result_leaves_the_later_bundle_on_the_training(
    lambdas: Surroundings, context: Context
) -> None:
    earlier, later = pending(lambdas), pending(lambdas, quantize="int8")
    handler(batch(older(later), sent_at=NOON + 1000), context)
    handler(batch(older(earlier), sent_at=NOON), context)
    export, job = seen(lambdas, earlier)
    assert export.status == "SUCCEEDED"
    assert job.results["coreml_export_id"] == later


def test_a_bundle_of_other_shapes_is_recorded_and_not_shown_on_the_training(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas, shapes="fixed:128")
    handler(batch(older(export_id)), context)
    export, job = seen(lambdas, export_id)
    assert export.status == "SUCCEEDED"
    assert "coreml_export_id" not in job.results


def test_an_unreadable_second_request_does_not_fail_the_export_that_it_names(
    lambdas: Surroundings, context: Context
) -> None:
    export_id = pending(lambdas)
    about_a_body = failed(export_id, error_class="message", attempt=0, result_id=str(uuid.uuid4()))
    without_record = failed(str(uuid.uuid4()), error_class="configuration", attempt=1)
    assert handler(batch(about_a_body, without_record), context) == NOTHING
    assert seen(lambdas, export_id)[0].status == "PENDING"


async def test_after_our_own_worker_nothing_is_left_to_write(
    lambdas: Surroundings, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = pending(lambdas)
    async with export_bench(lambdas.stack, tmp_path) as bench:
        await bench.send(
            {
                "export_id": export_id,
                "job_id": JOB_ID,
                "model_s3_uri": "s3://bucket/runs/demo/succeed/",
                "output_s3_prefix": "s3://bucket/coreml/demo/",
            }
        )
        await bench.work_once()
        [result] = await bench.results()
    before = seen(lambdas, export_id)

    def written(*_: Any, **__: Any) -> None:
        raise AssertionError("the worker has written it")

    monkeypatch.setattr(DynamoClient, "update_coreml_export_status", written)
    monkeypatch.setattr(DynamoClient, "merge_job_results", written)
    decided_ms = int(read_time(str(before[0].completed_at)).timestamp() * 1000)
    assert handler(batch(result, sent_at=decided_ms + 2000), context) == NOTHING
    assert seen(lambdas, export_id) == before
    assert before[1].results["coreml_export_id"] == export_id
