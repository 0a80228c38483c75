"""Starts a training that an operator asks for by one payload, on the train workers' queue or on SageMaker."""
# ruff: noqa: INP001 - a Lambda's zip holds this file at its top, in no package

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import structlog
from botocore.exceptions import ClientError
from pydantic_core import from_json, to_json

from messages.codec import decode_train_job
from messages.errors import Fault, InvalidMessage, shorten
from messages.fields import S3Uri
from messages.train import JOB_OPTIONS, TrainJob
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.errors import AlreadyExists
from receipt_dynamo.session import new_session
from workers.errors import SettingsError
from workers.jobs.job_record import job_record
from workers.jobs.submit import submit_training
from workers.settings import Settings
from workers.telemetry.logs import configure_logging

SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
SAGEMAKER_TAG = re.compile(r"[\w\s.:/=+\-@]*")
MAX_TAG_CHARS = (128, 256)
MAX_VALUE_CHARS = 2500
VOLUME_GB = 100
DAY_SECONDS = 24 * 3600
"""How long a training without a timeout of its own may take."""
MARGIN_SECONDS = 1800
"""SageMaker's limit comes after the job's own timeout, which ends it with a reason."""
PASSED_ON = (
    "AWS_DEFAULT_REGION",
    "COREML_EXPORT_JOB_QUEUE_URL",
    "DYNAMO_TABLE_NAME",
    "LAYOUTLM_ALLOWED_BUCKETS",
    "LAYOUTLM_TRAINING_BUCKET",
    "TRAIN_RESULTS_QUEUE_URL",
)
_CREATOR = "start-training"
_REFUSED = {"ResourceInUse", "ResourceLimitExceeded", "ValidationException"}

log = structlog.get_logger(__name__)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Start the training that the event asks for: a train job's body, and `backend` ("queue", "sagemaker").

    The event is the body, or the request of an API or function URL that has it as its `body`. The answer has
    a `statusCode`: 202 and what was started, or 400 and every fault of a request that started nothing.

    Raises:
        DynamoError, QueueError, ClientError: AWS cannot do it now. Asking again is safe: Lambda repeats an
            asynchronous event under the same request id, which is then the same job.
        WorkerError: a variable of this Lambda is missing or wrong.
    """
    configure_logging()
    settings = Settings.from_environ()
    try:
        backend, job = read_request(_body_of(event), context.aws_request_id)
        started = BACKENDS[backend](settings, job)
    except InvalidMessage as error:
        log.warning("refused", error=str(error))
        return _answer(400, {"error": str(error), "faults": [asdict(fault) for fault in error.faults]})
    log.info("started", **started)
    return _answer(202, started)


def read_request(body: str | bytes, request_id: str) -> tuple[str, TrainJob]:
    """The backend and the job of a payload; a job without an id gets one made of the request's.

    Raises:
        InvalidMessage: with every fault of the payload.
    """
    backend, rest = _split(body)
    job: TrainJob | None = None
    faults: list[Fault] = []
    try:
        job = decode_train_job(rest, message_id=request_id)
    except InvalidMessage as error:
        faults += error.faults
    if str(backend) not in BACKENDS:
        faults.append(Fault("backend", f"must be queue or sagemaker, not {shorten(backend)}"))
    elif job and backend == "sagemaker":
        faults += sagemaker_faults(job)
    if faults or job is None:
        raise InvalidMessage("train", faults)
    return str(backend), job


def start_on_queue(settings: Settings, job: TrainJob) -> dict[str, str]:
    """Send the job to the train workers, exactly as `layoutlm-cli submit train` does."""
    message_id = asyncio.run(submit_training(settings, job, created_by=_CREATOR))
    return {"backend": "queue", "job_id": job.job_id, "job_name": job.job_name, "message_id": message_id}


def start_on_sagemaker(settings: Settings, job: TrainJob) -> dict[str, str]:
    """Create the training job, then the pending record; the container makes the record where we could not.

    Raises:
        InvalidMessage: SageMaker will not take it.
    """
    settings.require("table_name", "bucket")
    parent = job.hyperparameters.output_s3_path
    run = (S3Uri.parse(parent) if parent else settings.runs) / f"{job.job_name}/"
    session: Any = new_session()
    client = session.client("sagemaker", region_name=settings.region, endpoint_url=settings.endpoint_url)
    try:
        arn = _find(client, job) or client.create_training_job(**training_job(job, run))["TrainingJobArn"]
    except ClientError as error:
        said = error.response.get("Error", {})
        if said.get("Code") not in _REFUSED:
            raise
        raise _refusal("backend", f"SageMaker refuses the job: {said.get('Message')}") from error
    table = DynamoClient(str(settings.table_name), region=settings.region, endpoint_url=settings.endpoint_url)
    with suppress(AlreadyExists):  # a repeated request, or the container was faster
        table.add_job(job_record(job, run, status="pending", created_by=_CREATOR))
    return {"backend": "sagemaker", "job_id": job.job_id, "job_name": job.job_name, "training_job_arn": arn}


BACKENDS: dict[str, Callable[[Settings, TrainJob], dict[str, str]]] = {
    "queue": start_on_queue,
    "sagemaker": start_on_sagemaker,
}


def training_job(job: TrainJob, run: S3Uri) -> dict[str, Any]:
    """The arguments of CreateTrainingJob."""
    role, image, instance = _required("SAGEMAKER_ROLE_ARN", "SAGEMAKER_IMAGE_URI", "SAGEMAKER_INSTANCE_TYPE")
    seconds = (job.timeout or DAY_SECONDS) + MARGIN_SECONDS
    request = {
        "TrainingJobName": job.job_name,
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": role,
        "HyperParameters": hyperparameters_of(job),
        "OutputDataConfig": {"S3OutputPath": (run / "sagemaker/").uri},
        "ResourceConfig": {"InstanceType": instance, "InstanceCount": 1, "VolumeSizeInGB": VOLUME_GB},
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        "Environment": {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)},
        "Tags": [{"Key": key, "Value": value} for key, value in job.tags.items()],
    }
    if not job.use_spot:
        return request
    return {
        **request,
        "EnableManagedSpotTraining": True,
        # Without it SageMaker lets a Spot job wait for an hour at most. Nothing is written there: the run's
        # own checkpoints lie in a folder of their own, which SageMaker must not copy into the container.
        "CheckpointConfig": {"S3Uri": (run / "sagemaker/checkpoints/").uri},
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds, "MaxWaitTimeInSeconds": seconds + DAY_SECONDS},
    }


def hyperparameters_of(job: TrainJob) -> dict[str, str]:
    """What the sender said, as texts: SageMaker takes no others. `train.py` reads the same job from it."""
    known = {"job_id", "job_name", "use_spot", *JOB_OPTIONS}
    said = job.model_dump(mode="json", include=known, exclude_unset=True)
    if "quantize" in said:
        said["quantize"] = job.quantize or "float32"
    said |= job.hyperparameters.model_dump(mode="json", exclude_unset=True)
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in said.items()
        if value is not None
    }


def sagemaker_faults(job: TrainJob) -> list[Fault]:
    """What the queue takes and SageMaker does not."""
    faults = []
    if not SAGEMAKER_NAME.fullmatch(job.job_name):
        problem = "SageMaker takes letters, digits and single hyphens between them, 63 characters at most"
        faults.append(Fault("job_name", problem))
    for name, value in hyperparameters_of(job).items():
        if len(value) > MAX_VALUE_CHARS:
            problem = f"SageMaker takes {MAX_VALUE_CHARS} characters at most; send this job to the queue"
            faults.append(Fault(name if name in JOB_OPTIONS else f"hyperparameters.{name}", problem))
    for pair in job.tags.items():
        fits = all(SAGEMAKER_TAG.fullmatch(text) for text in pair)
        if not fits or any(len(text) > most for text, most in zip(pair, MAX_TAG_CHARS, strict=True)):
            problem = "SageMaker takes letters, digits, spaces and _.:/=+-@ in tags, 128 and 256 at most"
            faults.append(Fault(f"tags.{shorten(pair[0])}", problem))
    return faults


def _find(client: Any, job: TrainJob) -> str | None:
    """The training job that an earlier try of this request has made.

    Raises:
        InvalidMessage: the name is another request's; SageMaker never gives a name twice.
    """
    try:
        found = client.describe_training_job(TrainingJobName=job.job_name)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationException":  # there is none
            return None
        raise
    if found.get("HyperParameters", {}).get("job_id") != job.job_id:
        raise _refusal("job_name", "SageMaker has had a training job of this name; choose another")
    return str(found["TrainingJobArn"])


def _split(body: str | bytes) -> tuple[Any, str | bytes]:
    """Take the backend out of a payload; one that is no object stays as it is, for the codec to refuse."""
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        return "queue", body
    if not isinstance(data, dict):
        return "queue", body
    backend = data.pop("backend", "queue")
    return backend, to_json(data)


def _body_of(event: Mapping[str, Any]) -> str | bytes:
    if "body" not in event:
        return to_json(event)
    body = str(event["body"] or "")
    return base64.b64decode(body) if event.get("isBase64Encoded") else body


def _required(*names: str) -> list[str]:
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise SettingsError(f"{', '.join(missing)} must be set for the backend sagemaker.")
    return [os.environ[name] for name in names]


def _refusal(field: str, problem: str) -> InvalidMessage:
    return InvalidMessage("train", [Fault(field, problem)])


def _answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
