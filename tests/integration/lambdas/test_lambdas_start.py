"""The training Lambda: one payload, to the queue or to SageMaker, or every fault of it and nothing sent."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.lambdas.start_training import handler
from messages.codec import decode_train_job
from receipt_dynamo.errors import Throttled
from receipt_dynamo.session import new_session
from tests.integration.lambdas.conftest import ROLE, Context, Surroundings
from workers.errors import SettingsError

ROOT = Path(__file__).parent.parent.parent.parent
PAYLOAD: dict[str, Any] = {
    "job_name": "layoutlm-my-experiment",
    "use_spot": False,
    "hyperparameters": {
        "epochs": "10",
        "batch_size": "8",
        "learning_rate": "5e-5",
        "merge_amounts": "true",
    },
}


def direct(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


def by_api(payload: dict[str, Any]) -> dict[str, Any]:
    return {"requestContext": {}, "isBase64Encoded": False, "body": json.dumps(payload)}


def by_url(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestContext": {},
        "isBase64Encoded": True,
        "body": base64.b64encode(json.dumps(payload).encode()).decode(),
    }


def said(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def sagemaker_payload(**fields: Any) -> dict[str, Any]:
    """The emulator's SageMaker is shared by all tests, and a name is given once."""
    return {**PAYLOAD, "job_name": f"layoutlm-{uuid.uuid4().hex}", "backend": "sagemaker", **fields}


@pytest.mark.parametrize("asked", [direct, by_api, by_url])
def test_the_payload_that_operators_send_goes_to_the_queue_as_submit_sends_it(
    lambdas: Surroundings, context: Context, asked: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    answer = handler(asked(PAYLOAD), context)
    assert answer["statusCode"] == 202
    [body] = lambdas.take_all("TRAIN_JOB_QUEUE_URL")
    sent = decode_train_job(json.dumps(body), message_id="x")
    assert (sent.job_name, sent.hyperparameters.epochs) == ("layoutlm-my-experiment", 10)
    assert sent.hyperparameters.merge_amounts
    assert said(answer)["job_id"] == sent.job_id
    job = lambdas.table.get_job(sent.job_id)
    assert (job.status, job.job_config["learning_rate"]) == ("pending", 5e-5)
    lease = lambdas.table.get_lease(sent.job_id, kind="train")
    assert lease is not None
    assert (lease.state, json.loads(lease.body or "")) == ("free", body)


def test_an_event_that_lambda_repeats_is_the_same_job(lambdas: Surroundings, context: Context) -> None:
    first, again = (said(handler(dict(PAYLOAD), context)) for _ in range(2))
    assert first["job_id"] == again["job_id"]
    assert {body["job_id"] for body in lambdas.take_all("TRAIN_JOB_QUEUE_URL")} == {first["job_id"]}
    assert len(lambdas.table.get_job_by_name("layoutlm-my-experiment").items) == 1
    other = said(handler(dict(PAYLOAD), Context()))
    assert other["job_id"] != first["job_id"]


def test_every_fault_is_told_and_nothing_is_sent(lambdas: Surroundings, context: Context) -> None:
    wrong = {
        "job_name": "a/b",
        "backend": "kubernetes",
        "hyperparameters": {"epochs": "many", "batchsize": 8},
        "learning_rate": 1,
    }
    answer = handler(by_api(wrong), context)
    assert answer["statusCode"] == 400
    faults = {fault["field"]: fault["problem"] for fault in said(answer)["faults"]}
    assert set(faults) == {
        "job_name",
        "backend",
        "hyperparameters.epochs",
        "hyperparameters.batchsize",
        "learning_rate",
    }
    assert "must be queue or sagemaker, not 'kubernetes'" in faults["backend"]
    assert "belongs in hyperparameters" in faults["learning_rate"]
    assert lambdas.take_all("TRAIN_JOB_QUEUE_URL") == []
    assert lambdas.table.list_jobs().items == []


@pytest.mark.parametrize("body", [None, "", "no json", "[1]", '"text"', '{"job_name": NaN}'])
def test_a_body_that_is_no_object_is_refused(lambdas: Surroundings, context: Context, body: Any) -> None:
    answer = handler({"requestContext": {}, "body": body}, context)
    assert answer["statusCode"] == 400
    assert said(answer)["faults"][0]["field"] == "body"


def test_sagemaker_gets_every_hyperparameter_as_text_with_role_image_and_tags(
    lambdas: Surroundings, context: Context
) -> None:
    payload = sagemaker_payload(tags={"team": "receipts"}, quantize=None, timeout=3600)
    answer = handler(payload, context)
    assert answer["statusCode"] == 202, answer
    made = lambdas.sagemaker.describe_training_job(TrainingJobName=payload["job_name"])
    assert made["HyperParameters"] == {
        **PAYLOAD["hyperparameters"],
        "batch_size": "8",
        "learning_rate": "5e-05",
        "job_id": said(answer)["job_id"],
        "job_name": payload["job_name"],
        "use_spot": "false",
        "tags": '{"team": "receipts"}',
        "quantize": "float32",
        "timeout": "3600",
    }
    assert made["RoleArn"] == ROLE
    assert made["ResourceConfig"]["InstanceType"] == "ml.g5.xlarge"
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 5400}
    assert not made["EnableManagedSpotTraining"]
    tags = lambdas.sagemaker.list_tags(ResourceArn=made["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "receipts"}]
    job = lambdas.table.get_job(said(answer)["job_id"])
    assert (job.name, job.status, job.created_by) == (payload["job_name"], "pending", "start-training")
    assert lambdas.take_all("TRAIN_JOB_QUEUE_URL") == []


def test_no_lease_is_offered_for_a_job_of_sagemaker_so_that_no_worker_takes_it(
    lambdas: Surroundings, context: Context
) -> None:
    started = said(handler(sagemaker_payload(), context))
    assert lambdas.table.get_lease(started["job_id"], kind="train") is None


def test_a_job_on_spot_has_its_checkpoint_folder_in_the_run_and_time_to_wait(
    lambdas: Surroundings, context: Context
) -> None:
    payload = sagemaker_payload(use_spot=True)
    handler(payload, context)
    made = lambdas.sagemaker.describe_training_job(TrainingJobName=payload["job_name"])
    bucket = lambdas.stack.environ["LAYOUTLM_TRAINING_BUCKET"]
    run = f"s3://{bucket}/runs/{payload['job_name']}/"
    assert made["EnableManagedSpotTraining"]
    assert made["CheckpointConfig"] == {"S3Uri": f"{run}sagemaker/checkpoints/"}
    assert made["OutputDataConfig"]["S3OutputPath"] == f"{run}sagemaker/"
    times = made["StoppingCondition"]
    assert times["MaxWaitTimeInSeconds"] > times["MaxRuntimeInSeconds"]


def test_sagemaker_is_asked_once_for_a_repeated_event_and_the_record_is_completed(
    lambdas: Surroundings, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = sagemaker_payload()

    def throttled(*_: Any) -> None:
        raise Throttled("slow down")

    with monkeypatch.context() as patched:
        patched.setattr("infra.lambdas.start_training.DynamoClient.add_job", throttled)
        with pytest.raises(Throttled):
            handler(dict(payload), context)
    made = lambdas.sagemaker.describe_training_job(TrainingJobName=payload["job_name"])
    again = handler(dict(payload), context)
    assert again["statusCode"] == 202
    assert said(again)["training_job_arn"] == made["TrainingJobArn"]
    after = lambdas.sagemaker.describe_training_job(TrainingJobName=payload["job_name"])
    assert after["CreationTime"] == made["CreationTime"]
    assert lambdas.table.get_job(said(again)["job_id"]).status == "pending"


def test_a_name_that_sagemaker_has_given_before_is_refused(lambdas: Surroundings, context: Context) -> None:
    payload = sagemaker_payload()
    handler(dict(payload), context)
    answer = handler(dict(payload), Context())
    assert answer["statusCode"] == 400
    [fault] = said(answer)["faults"]
    assert fault["field"] == "job_name"
    assert "choose another" in fault["problem"]
    assert len(lambdas.table.get_job_by_name(payload["job_name"]).items) == 1


def answering(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let SageMaker answer CreateTrainingJob with this error, which the emulator never does."""

    def session() -> Any:
        made: Any = new_session()
        error = {"Error": {"Code": code, "Message": "as scripted"}, "ResponseMetadata": {}}
        made.events.register(
            "before-call.sagemaker.CreateTrainingJob", lambda **_: (SimpleNamespace(status_code=400), error)
        )
        return made

    monkeypatch.setattr("infra.lambdas.start_training.new_session", session)


@pytest.mark.parametrize("code", ["ValidationException", "ResourceLimitExceeded", "ResourceInUse"])
def test_what_sagemaker_refuses_is_told_in_its_own_words(
    lambdas: Surroundings, context: Context, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    answering(monkeypatch, code)
    payload = sagemaker_payload()
    answer = handler(dict(payload), context)
    assert answer["statusCode"] == 400
    assert said(answer)["faults"] == [
        {"field": "backend", "problem": "SageMaker refuses the job: as scripted"}
    ]
    assert lambdas.table.get_job_by_name(payload["job_name"]).items == []


def test_what_sagemaker_cannot_do_now_is_raised_for_lambda_to_repeat(
    lambdas: Surroundings, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, "AccessDeniedException")
    payload = sagemaker_payload()
    with pytest.raises(ClientError, match="as scripted"):
        handler(dict(payload), context)
    assert lambdas.table.get_job_by_name(payload["job_name"]).items == []


def test_what_only_the_queue_takes_is_told_before_sagemaker_is_asked(
    lambdas: Surroundings, context: Context
) -> None:
    merges = {f"LABEL_{n}": [f"SOURCE_{n}_{m}" for m in range(10)] for n in range(40)}
    payload = sagemaker_payload(
        job_name="under_scored",
        tags={"note": "50%"},
        hyperparameters={"label_merges": merges},
        auto_export=False,
    )
    answer = handler(payload, context)
    assert answer["statusCode"] == 400
    fields = [fault["field"] for fault in said(answer)["faults"]]
    assert fields == ["job_name", "hyperparameters.label_merges", "tags.'note'"]
    assert handler({**payload, "backend": "queue"}, context)["statusCode"] == 202


def test_a_missing_variable_is_named(
    lambdas: Surroundings, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAGEMAKER_ROLE_ARN")
    with pytest.raises(SettingsError, match="SAGEMAKER_ROLE_ARN must be set"):
        handler(sagemaker_payload(), context)
    monkeypatch.delenv("TRAIN_JOB_QUEUE_URL")
    with pytest.raises(SettingsError, match="TRAIN_JOB_QUEUE_URL is not set"):
        handler(dict(PAYLOAD), context)


@pytest.mark.parametrize("module", ["start_training", "queue_export", "process_results"])
def test_a_lambda_is_imported_by_its_own_name_and_brings_nothing_heavy(module: str) -> None:
    heavy = {"torch", "transformers", "numpy", "moto", "receipt_layoutlm", "layoutlm_cli"}
    code = (
        f"import sys, {module}; print(callable({module}.handler),"
        f" *(n for n in {sorted(heavy)} if n in sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "infra" / "lambdas",
        timeout=60,
    )
    assert answer.stdout.split() == ["True"], answer.stderr
