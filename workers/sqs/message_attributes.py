"""Reads and packs message attributes within SQS's limits."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

# Pydantic refuses typing's own TypedDict below Python 3.12.
from typing_extensions import TypedDict

from messages.errors import Fault

Attributes = Mapping[str, Mapping[str, Any]]
"""As SQS has them: each name with a DataType and either a StringValue or a BinaryValue."""

FAULTS = "faults"
ORIGINAL = "original_attributes"
MAX_FAULTS = 100
BRIEF_CHARS = 200
_BINARY = "Binary"
_REFUSED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that SQS refuses in any text; a reason may quote a JSON key that holds some."""


class _Packed(TypedDict):
    type: str
    value: str


_DEFERRED = pydantic.ConfigDict(defer_build=True)
_PACKED: pydantic.TypeAdapter[dict[str, _Packed]] = pydantic.TypeAdapter(dict[str, _Packed], config=_DEFERRED)
_FAULTS: pydantic.TypeAdapter[list[Fault]] = pydantic.TypeAdapter(list[Fault], config=_DEFERRED)


def of_texts(texts: Mapping[str, str]) -> Attributes:
    """Attributes of type String; an empty text, which SQS refuses, is left out."""
    return {
        name: {"DataType": "String", "StringValue": _REFUSED.sub(_escape, text)}
        for name, text in texts.items()
        if text
    }


def texts_of(attributes: Attributes) -> dict[str, str]:
    """The values that are text: those of the types String and Number."""
    return {name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value}


def dead_letter_attributes(
    original: Attributes, reasons: Mapping[str, str]
) -> tuple[Attributes, Attributes, Attributes]:
    """Choices of attributes for a dead letter, the fullest first; use the first that fits beside the body.

    The last are those that it came with: with them it has been in a queue before, so they do fit.
    """
    packed = {ORIGINAL: json.dumps(pack(original), ensure_ascii=False)}
    brief = {name: text[:BRIEF_CHARS] for name, text in reasons.items() if name != FAULTS}
    return of_texts({**reasons, **packed}), of_texts({**brief, **packed}), original


def original_of(attributes: Attributes) -> Attributes | None:
    """The original attributes of a dead letter; None where no worker wrote these attributes."""
    try:
        packed = _PACKED.validate_json(texts_of(attributes).get(ORIGINAL, ""))
        return {name: _unpack(**one) for name, one in packed.items()}
    except (pydantic.ValidationError, binascii.Error):
        return None


def pack(attributes: Attributes) -> dict[str, dict[str, str]]:
    """Attributes as JSON can hold them: each name with type and value, bytes in base64."""
    return {name: {"type": str(one["DataType"]), "value": _text_of(one)} for name, one in attributes.items()}


def write_faults(faults: Sequence[Fault]) -> str:
    """Faults as a JSON list of `{"field": ..., "problem": ...}`; a hundred at most, then how many more."""
    told = [{"field": fault.field, "problem": fault.problem} for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        told.append({"field": "body", "problem": f"and {len(faults) - MAX_FAULTS} more faults"})
    return json.dumps(told)


def read_faults(text: str) -> list[Fault]:
    """The faults that were written so; none where the text is something else."""
    try:
        return _FAULTS.validate_json(text)
    except pydantic.ValidationError:
        return []


def _text_of(value: Mapping[str, Any]) -> str:
    return base64.b64encode(value["BinaryValue"]).decode() if "BinaryValue" in value else value["StringValue"]


def _unpack(type: str, value: str) -> dict[str, Any]:  # noqa: A002 - the name that the JSON has
    if type.split(".", 1)[0] == _BINARY:
        return {"DataType": type, "BinaryValue": base64.b64decode(value, validate=True)}
    return {"DataType": type, "StringValue": value}


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
