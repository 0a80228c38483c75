"""S3 as a daemon uses it: objects that are whole or not there, written and read by key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class Stream:
    """The body of an answer."""

    content: bytes

    async def read(self) -> bytes:
        """All of it."""
        return self.content


@dataclass(frozen=True, slots=True)
class Objects:
    """One bucket.

    Attributes:
        content: what lies at each key.
    """

    content: dict[str, bytes] = field(default_factory=dict)

    def answer(self, _actor: str, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Put or get an object."""
        key = arguments["Key"]
        if call == "put_object":
            self.content[key] = arguments["Body"]
            return {}
        assert call == "get_object"
        if key not in self.content:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no such key"}}, "GetObject")
        return {"Body": Stream(self.content[key])}

    def text(self, held: str) -> str:
        """The request that a lease holds: itself, or what lies at its S3 URI."""
        return self.content[held.split("/", 3)[3]].decode() if held.startswith("s3://") else held
