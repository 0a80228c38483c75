"""The types that several messages share: names, ids, S3 places, and numbers that may come as strings."""

from __future__ import annotations

import json
import math
import re
import uuid
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

NAMESPACE = uuid.UUID("6d2f4a52-6a0c-5f4e-9d0b-2f1c1e0a7b11")
"""Namespace of every id that is derived rather than drawn, so that two senders derive the same one."""

JOB_NAME_PATTERN = r"^[A-Za-z0-9](?:\.?[A-Za-z0-9_-])*$"
"""No slash, no leading dot, no two dots in a row: a name is one folder in S3 and on a disk."""
JOB_NAME_CHARS = 120
S3_URI_PATTERN = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[^\x00-\x1f\x7f\\]*)?$"
LABEL_PATTERN = r"^[A-Z][A-Z0-9_]{0,39}$"

_UUID_VERSIONS = (4, 5)


class Message(BaseModel):
    """Base of all messages: frozen, unknown fields refused by name, infinities and NaN refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        str_max_length=100_000,
        hide_input_in_errors=True,
        defer_build=True,  # a process needs some of the messages, and never at its start
    )


def derive_id(*parts: str) -> str:
    """A UUID v5 made of the parts: the same parts give the same id, on any host and in any attempt."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def unit(name: str) -> dict[str, Any]:
    """The unit of a field, for the JSON Schema and the reference."""
    return {"unit": name}


def _check_uuid(value: str) -> str:
    try:
        parsed = uuid.UUID(value)
    except ValueError as error:
        raise ValueError("must be a UUID such as 49a5ce3b-4653-4aad-95da-11c9a7345b85") from error
    if parsed.version not in _UUID_VERSIONS or str(parsed) != value.lower():
        raise ValueError("must be a UUID of version 4 or 5, written with hyphens")
    return str(parsed)


def refuse_bool(value: Any) -> Any:
    """A number that may come as text, but not as true or false."""
    # pydantic reads true as 1; a sender who wrote true for a number made a mistake.
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return value


def drop_fraction(value: Any) -> Any:
    """Cut the fraction of a finite number off; anything else stays."""
    return int(value) if isinstance(value, float) and math.isfinite(value) else value


def _refuse_parent_folders(value: str) -> str:
    if any(part in {".", ".."} for part in value.split("/")[3:]):
        raise ValueError("must not contain the path parts . or ..")
    return value


def _with_slash(value: str) -> str:
    return value if value.endswith("/") else value + "/"


def parse_json_text(value: Any) -> Any:
    """A JSON text becomes what it says, since SageMaker sends every value as text; anything else stays."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not JSON: {error}") from error
    return value


def split_commas(value: Any) -> Any:
    """`"DATE, TAX"` becomes `["DATE", "TAX"]`; JSON text and lists pass through."""
    value = parse_json_text(value)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Uuid = Annotated[str, Field(max_length=36), AfterValidator(_check_uuid)]
JobName = Annotated[str, Field(pattern=JOB_NAME_PATTERN, max_length=JOB_NAME_CHARS)]
S3Location = Annotated[
    str, Field(pattern=S3_URI_PATTERN, max_length=1100), AfterValidator(_refuse_parent_folders)
]
S3Prefix = Annotated[S3Location, AfterValidator(_with_slash)]
LabelName = Annotated[str, Field(pattern=LABEL_PATTERN)]
Int = Annotated[int, BeforeValidator(refuse_bool)]
Float = Annotated[float, BeforeValidator(refuse_bool)]


class S3Uri(Message):
    """A bucket and a key or prefix, taken apart once."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Uri:
        """Take `s3://bucket/key` apart; ValueError names what an S3 URI looks like."""
        if not re.match(S3_URI_PATTERN, uri):
            raise ValueError(f"{uri!r} is not an S3 URI such as s3://bucket/prefix/")
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return cls(bucket=bucket, key=key)

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Uri:
        """The place below this one: `prefix / "best/"`."""
        joined = f"{self.key}{'' if not self.key or self.key.endswith('/') else '/'}{name}"
        return S3Uri(bucket=self.bucket, key=joined)

    def holds(self, other: S3Uri) -> bool:
        """Whether the other is this folder, or lies somewhere below it."""
        ours = self._parts
        return self.bucket == other.bucket and other._parts[: len(ours)] == ours

    def overlaps(self, other: S3Uri) -> bool:
        """Whether what is written to one may overwrite something of the other."""
        return self.holds(other) or other.holds(self)

    @property
    def _parts(self) -> tuple[str, ...]:
        """The folders of the key, as tools may take them that undo percent-encoding or know no case."""
        return tuple(part for part in unquote(self.key).casefold().split("/") if part)

    @property
    def is_plain(self) -> bool:
        """Whether every reader takes the key the same way: no empty part, none that is encoded, no dots."""
        parts = self.key.removesuffix("/").split("/")
        return all(part not in {"", ".", ".."} and unquote(part) == part for part in parts)
