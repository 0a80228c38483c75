"""The export job and both results."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from messages import ExportResult, InvalidMessage, TrainResult, decode_export_job, encode
from messages.codec import decode_result

BODY = {
    "export_id": "11111111-2222-4333-8444-555555555555",
    "job_id": "49a5ce3b-4653-4aad-95da-11c9a7345b85",
    "model_s3_uri": "s3://bucket/runs/layoutlm-demo/best/",
    "quantize": "float16",
    "output_s3_prefix": "s3://bucket/coreml/layoutlm-demo/",
}


def decode(**changes: Any) -> Any:
    return decode_export_job(json.dumps({**BODY, **changes}), message_id="m-1")


def test_the_body_of_the_contract_decodes() -> None:
    job = decode()
    assert job.export_id == BODY["export_id"]
    assert job.quantize == "float16"


def test_null_means_float32_and_stays_null_on_the_wire() -> None:
    job = decode(quantize=None)
    assert job.quantize is None
    assert json.loads(encode(job))["quantize"] is None


def test_shapes_are_text_on_the_wire_and_any_length_where_none_are_named() -> None:
    assert str(decode().shapes) == "range"
    job = decode(shapes="enum:128,64")
    assert job.shapes.lengths == (64, 128)
    assert json.loads(encode(job))["shapes"] == "enum:64,128"


def test_a_bundle_of_other_shapes_goes_to_a_folder_of_its_own() -> None:
    assert decode().bundle_s3_uri == "s3://bucket/coreml/layoutlm-demo/"
    assert decode(shapes="fixed:64").bundle_s3_uri == "s3://bucket/coreml/layoutlm-demo/fixed-64/"


def test_a_prefix_comes_with_and_without_a_slash() -> None:
    assert decode(output_s3_prefix="s3://bucket/coreml/x").output_s3_prefix == "s3://bucket/coreml/x/"
    assert decode(model_s3_uri="s3://bucket/best").model_s3_uri == "s3://bucket/best/"


def test_older_senders_name_the_job() -> None:
    assert decode(job_id="layoutlm-demo").job_id == "layoutlm-demo"


def test_an_absent_export_id_comes_from_the_message() -> None:
    assert decode(export_id=None).export_id == decode(export_id=None).export_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("export_id", "x"),
        ("job_id", "../x"),
        ("model_s3_uri", "s3://bucket/a/../b"),
        ("model_s3_uri", "file:///etc"),
        ("quantize", "int2"),
        ("shapes", "fixed:513"),
        ("shapes", None),
        ("quantize", ["float16"]),
        ("output_s3_prefix", ""),
        ("extra", 1),
    ],
)
def test_a_wrong_field_is_refused_under_its_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidMessage) as refused:
        decode(**{field: value})
    assert [fault.field for fault in refused.value.faults] == [field]


def test_a_result_that_says_succeeded_names_what_was_made() -> None:
    with pytest.raises(ValidationError, match="mlpackage_s3_uri"):
        ExportResult.model_validate(
            {"result_id": BODY["job_id"], "export_id": BODY["export_id"], "status": "SUCCEEDED", "attempt": 1}
        )


def test_a_result_that_says_failed_tells_why() -> None:
    with pytest.raises(ValidationError, match="error_message"):
        ExportResult.model_validate(
            {"result_id": BODY["job_id"], "export_id": BODY["export_id"], "status": "FAILED", "attempt": 1}
        )


def test_results_of_both_queues_decode_to_their_own_kind() -> None:
    trained = TrainResult(result_id=BODY["job_id"], job_id=BODY["job_id"], status="failed", attempt=2)
    failed = ExportResult(
        result_id=BODY["job_id"],
        export_id=BODY["export_id"],
        status="FAILED",
        attempt=1,
        error_message="no checkpoint",
    )
    assert decode_result(encode(trained)) == trained
    assert decode_result(encode(failed)) == failed
