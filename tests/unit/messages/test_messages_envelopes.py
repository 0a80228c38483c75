"""Bodies that a service or a library has wrapped: each is named with the setting that ends it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from messages import ExportJob, InvalidMessage, TrainJob, decode_export_job, decode_train_job
from messages.codec import decode_result
from tests.conftest import CASES

JOB = {"job_name": "wrapped", "hyperparameters": {"epochs": "1", "pretrained_model": "scratch:tiny"}}
TEXT = json.dumps(JOB)
ENCODED = base64.b64encode(TEXT.encode()).decode()
URL_SAFE = base64.urlsafe_b64encode(b'{"tags": "\xc3\xbf\xc3\xbf>>>???"}').decode().rstrip("=")
POINTER = {"s3BucketName": "b", "s3Key": "k"}
needs_cases = pytest.mark.skipif(not CASES.exists(), reason="the cases are not beside the repository")


def only_fault(body: Any) -> str:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    problems = []
    for decode in (decode_train_job, decode_export_job):
        with pytest.raises(InvalidMessage) as refused:
            decode(text, message_id="m-1")
        [fault] = refused.value.faults
        assert fault.field == "body"
        problems.append(fault.problem)
    with pytest.raises(InvalidMessage) as refused:
        decode_result(text)
    assert [fault.problem for fault in refused.value.faults] == problems[:1]
    assert problems[0] == problems[1]
    return problems[0]


@needs_cases
@pytest.mark.parametrize(
    ("name", "called", "remedy"),
    [
        ("sns_envelope.txt", "SNS notification", "raw message delivery"),
        ("eventbridge.txt", "EventBridge event", "input transformer"),
        ("s3_pointer_array.txt", "pointer to a message in S3", "plain SQS client"),
        ("base64.txt", "base64", "Send the JSON text itself"),
    ],
)
def test_a_reported_envelope_is_named_with_its_remedy(name: str, called: str, remedy: str) -> None:
    problem = only_fault((CASES / "bodies" / name).read_text(encoding="utf-8"))
    assert called in problem
    assert remedy in problem


def records(source: str, **fields: Any) -> dict[str, Any]:
    return {"Records": [{"eventSource": source, **fields}]}


@pytest.mark.parametrize(
    ("body", "called", "remedy"),
    [
        (records("aws:sqs", body=TEXT, messageId="1"), "Lambda event with SQS messages", "body of each"),
        (records("aws:kinesis", kinesis={"data": "e30="}), "records of 'aws:kinesis'", "body of each"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": TEXT}}]}, "'aws:sns'", "body of each"),
        (records("aws:s3", s3={"object": {"key": "k"}}), "S3 event notification", "another queue"),
        (
            {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b", "Time": "2026-01-01T00:00:00Z"},
            "test event that S3 sends",
            "another queue",
        ),
        (["com.amazon.sqs.javamessaging.MessageS3Pointer", POINTER], "pointer to a message", "threshold"),
        (POINTER, "pointer to a message in S3", "threshold"),
        ({"Type": "SubscriptionConfirmation", "TopicArn": "arn", "Message": "x"}, "SNS", "raw message"),
        ({"version": "2.0", "requestContext": {}, "body": TEXT}, "API Gateway", "the request's body"),
        (
            {"requestContext": {}, "requestPayload": {}, "responsePayload": JOB},
            "Lambda destination",
            "Have the function send",
        ),
        ({"specversion": "1.0", "id": "1", "type": "t", "data": JOB}, "CloudEvent", "data field"),
        ({"QueueUrl": "https://q", "MessageBody": TEXT}, "input of SendMessage", "MessageBody holds"),
        (json.dumps(TEXT), "a JSON text with a JSON object in it", "once, not twice"),
        (URL_SAFE, "base64", "Send the JSON text itself"),
        (f"{ENCODED[:76]}\n{ENCODED[76:]}", "base64", "Send the JSON text itself"),
        (TEXT.encode("utf-16"), "UTF-16", "UTF-8"),
        (TEXT.encode("utf-16-le"), "UTF-16", "UTF-8"),
    ],
)
def test_an_envelope_that_nobody_has_reported_is_named_too(body: Any, called: str, remedy: str) -> None:
    problem = only_fault(body)
    assert called in problem
    assert remedy in problem


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("Records", "is not JSON"),
        ('"just a text"', "must be a JSON object, not 'just a text'"),
        ("[]", "must be a JSON object, not []"),
        ('["a", {"s3Key": "k"}]', "must be a JSON object"),
        ("aGVsbG8=", "is not JSON"),  # base64 of a text that is no job
        ("\ud800", "is not JSON"),
    ],
)
def test_what_only_resembles_an_envelope_is_called_what_it_is(body: str, problem: str) -> None:
    assert problem in only_fault(body)


@pytest.mark.parametrize("odd", [{"Records": []}, {"Records": "x"}, {"Records": [1]}, {"Records": [{}]}])
def test_records_without_a_source_are_an_unknown_field(odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage) as refused:
        decode_train_job(json.dumps({**JOB, **odd}), message_id="m-1")
    assert [fault.field for fault in refused.value.faults] == ["Records"]


@needs_cases
def test_a_byte_order_mark_before_a_body_is_read_over() -> None:
    body = (CASES / "bodies" / "bom.txt").read_bytes()
    assert body.startswith(b"\xef\xbb\xbf")
    job = decode_train_job(TEXT, message_id="m-1")
    assert isinstance(job, TrainJob)
    assert decode_train_job(body, message_id="m-1") == job
    assert decode_train_job(body.decode(), message_id="m-1") == job


def test_a_byte_order_mark_before_an_export_is_read_over() -> None:
    body = json.dumps(
        {"job_id": "demo", "model_s3_uri": "s3://bucket/best/", "output_s3_prefix": "s3://bucket/o/"}
    )
    plain = decode_export_job(body, message_id="m-1")
    assert isinstance(plain, ExportJob)
    assert decode_export_job("\ufeff" + body, message_id="m-1") == plain
