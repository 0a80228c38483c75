"""The export Lambda: a completed SageMaker training makes one export, whatever arrives beside it or twice."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.lambdas.queue_export import DETAIL_TYPE, handler
from messages.fields import derive_id
from messages.train import TrainJob
from receipt_dynamo.entities import Job
from tests.integration.lambdas.conftest import ROLE, Context, Surroundings
from workers.jobs.job_record import job_record

Make = Callable[..., Job]
NO_TAGS: dict[str, str] = {}


@pytest.fixture
def make_job(lambdas: Surroundings) -> Make:
    """A training on SageMaker, with its record as the container leaves it."""

    def make(*, prefix: str = "layoutlm-", tags: dict[str, str] = NO_TAGS, **changes: Any) -> Job:
        name = prefix + uuid.uuid4().hex
        lambdas.sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://bucket/"},
            ResourceConfig={"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        request = TrainJob.model_validate({"job_id": str(uuid.uuid4()), "job_name": name})
        settings = lambdas.stack.settings
        run = settings.runs / f"{name}/"
        shown = replace(
            job_record(request, run, status="succeeded"),
            results={"best_checkpoint_s3_path": f"{run.uri}best/"},
        )
        job = replace(shown, **changes)
        lambdas.table.add_job(job)
        return job

    return make


def event(name: str, status: str = "Completed") -> dict[str, Any]:
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    return {
        "detail-type": DETAIL_TYPE,
        "source": "aws.sagemaker",
        "detail": {
            "TrainingJobName": name,
            "TrainingJobArn": arn,
            "TrainingJobStatus": status,
            "SecondaryStatus": status,
            "Tags": {},
        },
    }


def test_a_completed_training_makes_the_export_that_a_worker_would_have_made(
    lambdas: Surroundings, make_job: Make, context: Context
) -> None:
    job = make_job()
    answer = handler(event(job.name), context)
    export_id = derive_id("auto-export", job.job_id, "float16")
    assert answer == {"export_id": export_id, "skipped": None}
    [body] = lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL")
    bucket = lambdas.stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    assert body == {
        "export_id": export_id,
        "job_id": job.job_id,
        "model_s3_uri": f"s3://{bucket}/runs/{job.name}/best/",
        "quantize": "float16",
        "shapes": "range",
        "output_s3_prefix": f"s3://{bucket}/coreml/{job.name}/",
    }
    record = lambdas.table.get_coreml_export_job(export_id)
    assert (record.status, record.job_id) == ("PENDING", job.job_id)


def test_the_same_event_twice_sends_one_message(
    lambdas: Surroundings, make_job: Make, context: Context
) -> None:
    job = make_job()
    first, again = (handler(event(job.name), context) for _ in range(2))
    assert first == again
    assert len(lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL")) == 1
    assert len(lambdas.table.get_coreml_export_jobs_for_job(job.job_id).items) == 1


def test_a_message_that_could_not_be_sent_is_sent_when_the_event_comes_again(
    lambdas: Surroundings, make_job: Make, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    with monkeypatch.context() as patched:
        patched.setenv("COREML_EXPORT_JOB_QUEUE_URL", lambdas.stack.environ["AWS_ENDPOINT_URL"] + "/1/none")
        with pytest.raises(Exception, match="There is no queue"):
            handler(event(job.name), context)
    assert lambdas.table.get_coreml_export_jobs_by_status("PENDING").items != []
    handler(event(job.name), context)
    assert len(lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL")) == 1


def test_an_export_that_has_ended_is_not_begun_again(
    lambdas: Surroundings, make_job: Make, context: Context
) -> None:
    job = make_job()
    export_id = str(handler(event(job.name), context)["export_id"])
    lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL")
    lambdas.table.update_coreml_export_status(export_id, "SUCCEEDED", attempt=1)
    assert handler(event(job.name), context)["export_id"] == export_id
    assert lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL") == []
    assert lambdas.table.get_coreml_export_job(export_id).status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "failed"}, "the job is failed"),
        ({"status": "interrupted", "results": {}}, "the job is interrupted"),
        ({"results": {"best_f1": 0.5}}, "no best checkpoint"),
        ({"job_config": {"auto_export": False}}, "asks for no export"),
        ({"tags": {"skip-coreml-export": "True"}}, "asks for no export"),
    ],
)
def test_a_job_that_is_not_to_be_exported_is_left_as_it_is(
    lambdas: Surroundings, make_job: Make, context: Context, changes: dict[str, Any], why: str
) -> None:
    job = make_job(**changes)
    answer = handler(event(job.name), context)
    assert answer["export_id"] is None
    assert why in str(answer["skipped"])
    assert lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL") == []
    assert lambdas.table.get_job(job.job_id) == job


def test_the_training_jobs_own_tag_stops_the_export(
    lambdas: Surroundings, make_job: Make, context: Context
) -> None:
    skipping = make_job(tags={"team": "receipts", "skip-coreml-export": "true"})
    assert handler(event(skipping.name), context)["export_id"] is None
    other = make_job(tags={"skip-coreml-export": "false"})
    assert handler(event(other.name), context)["export_id"] is not None


def test_events_of_others_and_of_unknown_jobs_do_nothing(
    lambdas: Surroundings, make_job: Make, context: Context
) -> None:
    job, foreign = make_job(), make_job(prefix="somebody-elses-")
    events: tuple[tuple[dict[str, Any], str], ...] = (
        (event("layoutlm-unknown"), "no job of this name"),
        (event(foreign.name), "does not begin with layoutlm-"),
        (event(job.name, "Failed"), "the training is Failed"),
        (event(job.name, "InProgress"), "the training is InProgress"),
        ({**event(job.name), "detail-type": "SageMaker Transform Job State Change"}, "the event is no"),
        ({}, "the event is no"),
    )
    for one, why in events:
        answer = handler(one, context)
        assert answer["export_id"] is None
        assert why in str(answer["skipped"])
    assert lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL") == []


def test_weights_that_the_job_asked_for_are_those_of_the_export(
    lambdas: Surroundings, make_job: Make, context: Context
) -> None:
    plain = make_job(job_config={"quantize": None})
    older = make_job(job_config={"model": "layoutlm-v1"})
    assert handler(event(plain.name), context)["export_id"] == derive_id(
        "auto-export", plain.job_id, "float32"
    )
    assert handler(event(older.name), context)["export_id"] == derive_id(
        "auto-export", older.job_id, "float16"
    )
    bodies = lambdas.take_all("COREML_EXPORT_JOB_QUEUE_URL")
    assert sorted(str(body["quantize"]) for body in bodies) == ["None", "float16"]
