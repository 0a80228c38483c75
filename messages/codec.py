"""The only place where a body is parsed: text in, a message or `InvalidMessage` out, never anything else."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
from pydantic_core import ErrorDetails, from_json, to_json

from messages.envelopes import find_encoding, find_envelope
from messages.errors import Fault, InvalidMessage, shorten
from messages.export import ExportJob, ExportResult
from messages.fields import Message, Uuid, derive_id
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob, TrainResult

KIND_ATTRIBUTE = "kind"
"""Optional message attribute; a sender that sets it is held to it."""

_M = TypeVar("_M", bound=Message)
_UUID: pydantic.TypeAdapter[str] = pydantic.TypeAdapter(Uuid, config=pydantic.ConfigDict(defer_build=True))
_ID_FIELD = {"train": "job_id", "export": "export_id"}


def decode_train_job(body: str | bytes, *, message_id: str, kind: str | None = None) -> TrainJob:
    """Parse a train job.

    Args:
        body: the message's body.
        message_id: the queue's id of the message. A body without `job_id` gets one derived from it, so
            that a redelivery is the same job.
        kind: the message attribute `kind`, where the sender set one.

    Raises:
        InvalidMessage: with every fault of the body.
    """
    return _decode(TrainJob, "train", body, message_id, kind)


def decode_export_job(body: str | bytes, *, message_id: str, kind: str | None = None) -> ExportJob:
    """Parse an export job; arguments and errors as for `decode_train_job`."""
    return _decode(ExportJob, "export", body, message_id, kind)


def decode_result(body: str | bytes) -> TrainResult | ExportResult:
    """Parse a body of either results queue.

    Raises:
        InvalidMessage: with every fault of the body.
    """
    data = _parse_object("result", body)
    model: type[TrainResult | ExportResult] = (
        ExportResult if str(data.get("status")).isupper() else TrainResult
    )
    return _validate(model, "result", data, None)


def encode(message: Message) -> str:
    """The body of a message; fields that are not known yet are left out, `quantize: null` is kept."""
    data = message.model_dump(mode="json", exclude_none=True)
    if "quantize" in type(message).model_fields:
        data["quantize"] = getattr(message, "quantize")  # noqa: B009 - not every message has it
    text = to_json(data).decode()
    # The two characters that JSON may hold and SQS refuses; a sender's text can bring them into a reason.
    return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _decode(model: type[_M], kind: str, body: str | bytes, message_id: str, said: str | None) -> _M:
    data = _parse_object(kind, body)
    if said is not None and said != kind:
        fault = Fault(
            KIND_ATTRIBUTE, f"is {shorten(said)}, but this queue takes {kind} jobs; send it to its own queue"
        )
        raise InvalidMessage(kind, [fault], _read_id(kind, data))
    id_field = _ID_FIELD[kind]
    named = _read_id(kind, data)
    if data.get(id_field) is None:
        data = {**data, id_field: derive_id(kind, message_id)}
    return _validate(model, kind, data, named)


def _parse_object(kind: str, body: str | bytes) -> dict[str, Any]:
    try:
        raw = body.encode() if isinstance(body, str) else body
        data = from_json(raw.removeprefix(BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:  # UnicodeEncodeError of a lone surrogate included
        problem = find_encoding(body) or f"is not JSON: {error}"
        raise InvalidMessage(kind, [Fault("body", problem)]) from error
    wrapped = find_envelope(data)
    if wrapped is not None:
        raise InvalidMessage(kind, [Fault("body", wrapped)])
    if not isinstance(data, dict):
        raise InvalidMessage(kind, [Fault("body", f"must be a JSON object, not {shorten(data)}")])
    return data


def _validate(model: type[_M], kind: str, data: dict[str, Any], named: str | None) -> _M:
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        faults = [_fault(details) for details in error.errors(include_url=False, include_context=False)]
        raise InvalidMessage(kind, faults, named) from error


def _fault(details: ErrorDetails) -> Fault:
    path = [str(part) for part in details["loc"] if part not in {"function-before", "nullable"}]
    field = ".".join(path) or "body"
    problem = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        problem = "is not a field of this message"
        if field in Hyperparameters.model_fields:
            problem += "; it belongs in hyperparameters"
    elif details["type"] != "missing":
        problem += f" (got {shorten(details['input'])})"
    return Fault(field[:200], problem)


def _read_id(kind: str, data: Mapping[str, Any]) -> str | None:
    value = data.get(_ID_FIELD[kind])
    try:
        return _UUID.validate_python(value)
    except pydantic.ValidationError:
        return None
