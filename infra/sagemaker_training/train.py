"""Entry of the SageMaker container: one local training with SageMaker's inputs and folders.

Exit codes: 0 succeeded; 65 failed or cancelled; 75 AWS could not be asked; 77 no credentials; 78 a setting is
wrong; 83 stopped by a signal. The reason of each but the last stands in `output/failure`, where SageMaker
finds what it shows as FailureReason.
"""
# ruff: noqa: INP001 - a file that the container runs, in no package

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from pydantic_core import from_json, to_json

from messages.child_protocol import ChildExit
from messages.codec import decode_train_job
from messages.errors import Fault, InvalidMessage, shorten
from messages.train import TrainJob
from receipt_dynamo.entities import Job
from receipt_dynamo.errors import DynamoError
from run_records.errors import RunError
from run_records.s3_store import S3Store
from workers.errors import QueueError, WorkerError
from workers.operator.run_local import run_locally
from workers.settings import Settings
from workers.stop import Stop
from workers.telemetry.logs import configure_logging

GOOD = {"DONE", "ALREADY_SUCCEEDED"}
AGAIN = {"LATER", "HOST_FAULT", "HELD_ELSEWHERE", "LOST"}
"""Endings that decide nothing. No queue stands behind this job: if we do not try again, nobody does. A job
is held elsewhere until the lease of a container that was killed runs out."""
STOPPED = "STOPPED"
JOB_FIELDS = ("job_id", "job_name", "use_spot")
OF_SAGEMAKER = ("sagemaker_", "_")
"""Prefixes of the names that SageMaker adds to the hyperparameters for itself: its SDK for the toolkit in a
container, a tuning job for its objective (`_tuning_objective_metric`). No option of ours begins so."""
EX_AWS = 75

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Train what SageMaker asks for; returns the exit code."""
    root = Path(environ.get("SM_ROOT", "/opt/ml"))
    configure_logging(verbose=True)
    try:
        code, reason = _train(root, arguments, environ)
    except Exception as error:
        known = _exit_code(error)
        if known is None:
            log.exception("a defect")
        code, reason = known or 1, str(error) if known else f"{type(error).__name__}: {error}"
    if reason is not None:
        _tell_failure(root, reason)
    log.info("container ends", exit_code=code, reason=reason)
    return code


def _train(root: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str | None]:
    """Train, and put the best checkpoint where SageMaker looks; returns the exit code, and why it failed."""
    options = read_hyperparameters(root, environ, arguments)
    job = read_job(options, environ.get("TRAINING_JOB_NAME"))
    settings = Settings.from_environ(environ)
    os.environ.update(settings.child_environ)  # boto3 knows the region by its older name only
    ending, record = asyncio.run(train_to_an_end(settings, job))
    if ending == STOPPED:
        return ChildExit.STOPPED, None
    if ending not in GOOD:
        reason = f"{job.job_name} ended as {record.status}: {record.error_message or ending}"
        return ChildExit.PERMANENT, reason
    best = str(record.results["best_checkpoint_s3_path"])
    storage = S3Store(settings.allowed_buckets)
    storage.download_folder(best, root / "model", storage.list_keys(best))
    return ChildExit.DONE, None


async def train_to_an_end(settings: Settings, job: TrainJob) -> tuple[str, Job]:
    """Train until the job is decided or we are stopped; the lease counts the attempts, and ends them."""
    while True:
        ending, record = await run_locally(settings, job)
        if ending not in AGAIN:
            return ending, record
        pause = Stop()
        pause.install()
        log.warning("not decided yet", ending=ending, next_try_in_seconds=settings.retry_base_seconds)
        await pause.sleep(settings.retry_base_seconds)
        if pause.requested.is_set():
            return STOPPED, record


def read_hyperparameters(root: Path, environ: Mapping[str, str], arguments: Sequence[str]) -> dict[str, Any]:
    """The hyperparameters of all three places: an argument counts before SM_HPS, SM_HPS before the file.

    That is the order in which they are made: SageMaker writes `input/config/hyperparameters.json`, its
    toolkit makes the variable SM_HPS of it, and the arguments of that.

    Raises:
        InvalidMessage: one of the places cannot be read.
    """
    file = root / "input" / "config" / "hyperparameters.json"
    places = (
        _read_object(str(file), file.read_text(encoding="utf-8") if file.exists() else "{}"),
        _read_object("SM_HPS", environ.get("SM_HPS") or "{}"),
        _read_arguments(arguments),
    )
    merged = {name.replace("-", "_"): value for place in places for name, value in place.items()}
    ignored = sorted(name for name in merged if name.startswith(OF_SAGEMAKER))
    if ignored:
        log.info("hyperparameters of SageMaker's own are ignored", names=ignored)
    return {name: _plain(value) for name, value in merged.items() if name not in ignored}


def read_job(options: Mapping[str, Any], training_job_name: str | None) -> TrainJob:
    """The job of these hyperparameters, under SageMaker's name for it if they give none.

    Its id follows from that name alone, unless they give one: a container that is started again, as after a
    Spot interruption, is the same job and goes on from that job's checkpoints in S3.

    Raises:
        InvalidMessage: with every fault.
    """
    rest = {name: value for name, value in options.items() if name not in JOB_FIELDS}
    job = {name: options[name] for name in JOB_FIELDS if options.get(name) is not None}
    body = {"job_name": training_job_name or "", **job, "hyperparameters": rest}
    return decode_train_job(to_json(body), message_id=training_job_name or str(body["job_name"]))


def _read_object(place: str, text: str) -> dict[str, Any]:
    try:
        data = from_json(text)
    except ValueError as error:
        raise InvalidMessage("train", [Fault(place, f"is not JSON: {error}")]) from error
    if not isinstance(data, dict):
        raise InvalidMessage("train", [Fault(place, f"must be a JSON object, not {shorten(data)}")])
    return data


def _read_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """`--key value` and `--key=value`; the word `train` is what SageMaker starts every container with."""
    found, faults = {}, []
    words = list(arguments)
    if words[:1] == ["train"]:
        words.pop(0)
    while words:
        word = words.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            faults.append(Fault("arguments", f"{shorten(word)} is not of the form --key value"))
        elif has_value:
            found[name] = value
        elif words and not words[0].startswith("--"):
            found[name] = words.pop(0)
        else:
            faults.append(Fault(name, "has no value; write true for a flag"))
    if faults:
        raise InvalidMessage("train", faults)
    return found


def _plain(value: Any) -> Any:
    """Undo the quotes of SageMaker's SDK, which writes each value as JSON before it sends it as a text."""
    if not isinstance(value, str) or not (value == "null" or value.startswith('"')):
        return value
    try:
        return from_json(value)
    except ValueError:
        return value


def _exit_code(error: Exception) -> int | None:
    if isinstance(error, WorkerError):
        return error.exit_code
    if isinstance(error, DynamoError | QueueError):
        return EX_AWS
    return ChildExit.PERMANENT if isinstance(error, InvalidMessage | RunError) else None


def _tell_failure(root: Path, reason: str) -> None:
    output = root / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "failure").write_text(reason, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
