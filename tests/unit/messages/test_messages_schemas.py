"""The checked-in schemas and examples are what the models say."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from messages import decode_export_job, decode_train_job
from messages.schemas import EXAMPLES, FOLDER, documents


@pytest.mark.parametrize("name", documents())
def test_the_checked_in_file_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == documents()[name], "run `make schemas`"


def test_no_file_lies_there_that_is_not_made() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(documents())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_holds_to_its_schema(name: str) -> None:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(
        json.loads((FOLDER / f"{name}.example.json").read_text(encoding="utf-8"))
    )


def test_the_example_jobs_decode() -> None:
    train = (FOLDER / "train_job.example.json").read_text(encoding="utf-8")
    export = (FOLDER / "export_job.example.json").read_text(encoding="utf-8")
    assert decode_train_job(train, message_id="m") == EXAMPLES["train_job"]
    assert decode_export_job(export, message_id="m") == EXAMPLES["export_job"]
