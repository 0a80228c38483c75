"""The wrappings that AWS services and client libraries put around a job, each with the setting that ends it.

A wrapped job is refused and not unwrapped: what a worker accepts stays one form, and a signature, a pointer
or several jobs in one body would each need rules of their own. The sentence says what to change.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from messages.errors import shorten


@dataclass(frozen=True, slots=True)
class Envelope:
    """One kind of wrapping: how it is recognised, what it is called, and what to do about it."""

    fits: Callable[[Any], bool]
    name: str
    remedy: str


_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_POINTERS = ("PayloadS3Pointer", "MessageS3Pointer")
"""Ends of the class names that the extended clients for Java and Python write."""


def find_envelope(data: Any) -> str | None:
    """Say what a parsed body is a wrapping of and how to send the job without it; None for anything else."""
    known = next((one for one in _ENVELOPES if one.fits(data)), None)
    if known is not None:
        return f"is {known.name}, not the job itself. {known.remedy}"
    source = _source_of(data)
    if source is not None:
        return f"is a Lambda event with records of {shorten(source)}, not the job itself. {_SEND_BODY}"
    return None


def find_encoding(body: str | bytes) -> str | None:
    """Say that a body that is no JSON is a JSON object in base64 or in UTF-16; None for anything else."""
    raw = body.encode(errors="replace") if isinstance(body, str) else body
    if _is_object(raw, "utf-16"):
        return "is JSON in UTF-16. Write it in UTF-8."
    text = b"".join(raw.split()).translate(_URL_SAFE).rstrip(b"=")
    try:
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if _is_object(decoded, "utf-8-sig"):
        return "is JSON in base64. Send the JSON text itself: turn off the sender's base64 encoding."
    return None


def _is_object(raw: bytes, encoding: str) -> bool:
    try:
        return isinstance(from_json(raw.decode(encoding)), dict)
    except ValueError:  # UnicodeDecodeError included
        return False


def _has(*fields: str) -> Callable[[Any], bool]:
    return lambda data: isinstance(data, Mapping) and all(field in data for field in fields)


def _records_of(source: str) -> Callable[[Any], bool]:
    return lambda data: _source_of(data) == source


def _source_of(data: Any) -> str | None:
    """The service that a Lambda event's records are of, such as aws:sqs."""
    records = data.get("Records") if isinstance(data, Mapping) else None
    first = records[0] if isinstance(records, list) and records else None
    if not isinstance(first, Mapping):
        return None
    source = first.get("eventSource", first.get("EventSource"))
    return source if isinstance(source, str) else None


def _is_pointer(data: Any) -> bool:
    match data:
        case [str(name), {**pointer}]:
            return name.endswith(_POINTERS) and "s3Key" in pointer
        case {**pointer}:
            return pointer.keys() == {"s3BucketName", "s3Key"}
    return False


def _is_text(data: Any) -> bool:
    return isinstance(data, str) and _is_object(data.encode(errors="replace"), "utf-8-sig")


_SEND_BODY = "Send the body of each record as a message of its own."
_OTHER_TARGET = (
    "Point the bucket's event notification at another queue, or at a function that sends jobs to this one."
)
_ENVELOPES = (
    Envelope(
        _has("TopicArn", "Message"),
        "an SNS notification",
        "Turn on raw message delivery (RawMessageDelivery = true) for the queue's subscription to the topic.",
    ),
    Envelope(
        _has("detail-type", "detail"),
        "an EventBridge event",
        "Set the input path $.detail, or an input transformer, on the rule's or the pipe's target.",
    ),
    Envelope(
        _is_pointer,
        "a pointer to a message in S3, as the SQS extended client library sends it",
        "Send with the plain SQS client, or raise the library's payload size threshold.",
    ),
    Envelope(_records_of("aws:s3"), "an S3 event notification", _OTHER_TARGET),
    Envelope(
        lambda data: _has("Service", "Event")(data) and data["Event"] == "s3:TestEvent",
        "the test event that S3 sends when a bucket's event notification is set up",
        _OTHER_TARGET,
    ),
    Envelope(_records_of("aws:sqs"), "a Lambda event with SQS messages in it", _SEND_BODY),
    Envelope(
        _has("requestContext", "body"),
        "a request to API Gateway or to a function URL",
        "Have its integration send the request's body as the message.",
    ),
    Envelope(
        _has("requestContext", "responsePayload"),
        "the record of a Lambda destination",
        "Have the function send the job, not its destination.",
    ),
    Envelope(
        _has("specversion", "data"),
        "a CloudEvent",
        "Send what its data field holds (the binary content mode does).",
    ),
    Envelope(
        lambda data: _has("MessageBody")(data) or _has("QueueUrl", "Entries")(data),
        "the input of SendMessage",
        "Send what its MessageBody holds.",
    ),
    Envelope(_is_text, "a JSON text with a JSON object in it", "Encode the job as JSON once, not twice."),
)
