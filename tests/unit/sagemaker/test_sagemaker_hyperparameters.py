"""SageMaker's three inputs become one job, the one that the training Lambda was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from infra.lambdas.start_training import hyperparameters_of
from infra.sagemaker_training.train import OF_SAGEMAKER, read_hyperparameters, read_job
from messages.codec import decode_train_job
from messages.errors import InvalidMessage
from messages.hyperparameters import Hyperparameters

NAME = "layoutlm-my-experiment"
JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"


def read(
    root: Path, file: Any = None, environment: Any = None, arguments: tuple[str, ...] = ()
) -> dict[str, Any]:
    if file is not None:
        folder = root / "input" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        text = file if isinstance(file, str) else json.dumps(file)
        (folder / "hyperparameters.json").write_text(text)
    environ = {} if environment is None else {"SM_HPS": json.dumps(environment)}
    return read_hyperparameters(root, environ, arguments)


@pytest.mark.parametrize(
    ("file", "environment", "arguments"),
    [
        ({"epochs": "3", "merge_amounts": "true", "job-name": "x"}, None, ()),
        (None, {"epochs": 3, "merge_amounts": True, "job_name": "x"}, ()),
        (None, None, ("--epochs", "3", "--merge-amounts=true", "--job_name", "x")),
        (None, None, ("train", "--epochs=3", "--merge_amounts", "True", "--job-name", "x")),
        ({"epochs": '"3"', "merge_amounts": "true", "job_name": '"x"'}, None, ("train",)),
    ],
)
def test_each_of_the_three_places_says_the_same(
    tmp_path: Path, file: Any, environment: Any, arguments: tuple[str, ...]
) -> None:
    job = read_job(read(tmp_path, file, environment, arguments), NAME)
    assert job.job_name == "x"
    assert (job.hyperparameters.epochs, job.hyperparameters.merge_amounts) == (3, True)


def test_an_argument_counts_before_the_variable_and_that_before_the_file(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        {"epochs": "1", "batch_size": "1", "warmup_ratio": "0.1"},
        {"epochs": 2, "batch-size": 2},
        ("--epochs", "3"),
    )
    assert options == {"epochs": "3", "batch_size": 2, "warmup_ratio": "0.1"}


def test_what_the_sdk_adds_for_its_toolkit_is_left_out(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        {
            "sagemaker_program": '"train.py"',
            "sagemaker_region": '"us-east-1"',
            "epochs": "3",
            "allowed_labels": '"DATE,TAX"',
            "quantize": "null",
            "val_keys_s3": '"unfinished',
        },
    )
    assert options == {
        "epochs": "3",
        "allowed_labels": "DATE,TAX",
        "quantize": None,
        "val_keys_s3": '"unfinished',
    }


@pytest.mark.parametrize("place", ["file", "environment", "arguments"])
def test_what_a_tuning_job_adds_for_itself_is_ignored_and_said(tmp_path: Path, place: str) -> None:
    added = {"_tuning_objective_metric": "val_f1", "_other": "1", "sagemaker_job_name": '"x"'}
    given = {"epochs": "3", **added}
    arguments = tuple(f"--{name}={value}" for name, value in given.items())
    with capture_logs() as logs:
        options = read(
            tmp_path,
            file=given if place == "file" else None,
            environment=given if place == "environment" else None,
            arguments=arguments if place == "arguments" else (),
        )
    assert options == {"epochs": "3"}
    [line] = logs
    assert line["names"] == sorted(added)
    assert read_job(options, NAME).hyperparameters.epochs == 3


def test_no_option_of_ours_is_taken_for_one_of_sagemakers() -> None:
    assert not [name for name in Hyperparameters.model_fields if name.startswith(OF_SAGEMAKER)]


def test_without_names_of_its_own_nothing_is_said(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert read(tmp_path, {"epochs": "3"}) == {"epochs": "3"}
    assert logs == []


@pytest.mark.parametrize(
    "payload",
    [
        {"job_name": NAME, "hyperparameters": {"epochs": "10", "learning_rate": "5e-5"}},
        {
            "job_name": NAME,
            "job_id": JOB_ID,
            "use_spot": True,
            "auto_export": False,
            "quantize": None,
            "priority": "high",
            "timeout": 7200,
            "tags": {"team": "a b", "skip-coreml-export": "true"},
            "hyperparameters": {
                "learning_rate": 0.1 + 0.2,
                "allowed_labels": ["DATE", "AMOUNT"],
                "label_merges": {"AMOUNT": ["TAX", "SUBTOTAL"]},
                "pretrained_model": "scratch:tiny",
                "output_s3_path": "s3://bucket/elsewhere",
                "val_keys_s3": None,
                "no_frozen_val": True,
            },
        },
    ],
)
def test_the_container_reads_the_very_job_that_the_lambda_was_asked_for(
    tmp_path: Path, payload: dict[str, Any]
) -> None:
    asked = decode_train_job(json.dumps(payload), message_id="request-1")
    sent = hyperparameters_of(asked)
    assert all(isinstance(value, str) for value in sent.values())
    got = read_job(read(tmp_path, sent), "another-name-of-sagemaker")
    assert got.model_dump() == asked.model_dump()


def test_a_container_that_is_started_again_is_the_same_job() -> None:
    first, again, other = (read_job({}, name) for name in (NAME, NAME, NAME + "-2"))
    assert first.job_id == again.job_id != other.job_id
    assert first.job_name == NAME
    assert read_job({"job_id": JOB_ID}, NAME).job_id == JOB_ID
    assert read_job({"job_name": "a_b"}, None).job_name == "a_b"


@pytest.mark.parametrize(
    ("file", "environment", "arguments", "fault"),
    [
        ("{", None, (), "hyperparameters.json: is not JSON"),
        ("[]", None, (), "must be a JSON object"),
        (None, ["epochs"], (), "SM_HPS: must be a JSON object"),
        (None, None, ("epochs", "3"), "'epochs' is not of the form --key value"),
        (None, None, ("--no-frozen-val", "--epochs", "3"), "no-frozen-val: has no value; write true"),
    ],
)
def test_a_place_that_cannot_be_read_is_named(
    tmp_path: Path, file: Any, environment: Any, arguments: tuple[str, ...], fault: str
) -> None:
    with pytest.raises(InvalidMessage) as error:
        read(tmp_path, file, environment, arguments)
    assert fault in str(error.value)


def test_every_fault_of_the_hyperparameters_is_named() -> None:
    with pytest.raises(InvalidMessage) as error:
        read_job({"epochs": "many", "batchsize": "8"}, None)
    assert {fault.field for fault in error.value.faults} == {
        "job_name",
        "hyperparameters.epochs",
        "hyperparameters.batchsize",
    }
