"""Writes requests that are too large for a lease to the bucket, and puts their S3 URI into the lease instead.

An item of the table holds 400 KB, and a lease holds the history of failures and the decision as well.
SQS takes bodies of 1 MiB.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from messages.fields import S3Uri
from receipt_dynamo.entities import JobLease
from receipt_dynamo.entities.field_types import LeaseKind
from workers.errors import BucketUnusable, QueueError
from workers.s3_bucket import Bucket, open_bucket
from workers.settings import Settings

MOST_BYTES = 64_000
"""Largest request, in bytes, that is written into a lease; a larger one goes to the bucket."""
FOLDER = ".requests/"
"""Folder name that no run or bundle can have: their names begin with a letter or a digit."""


class BodyUnreachable(QueueError):  # noqa: N818 - reads as what it is
    """A request in the bucket cannot be written or read now."""


@dataclass(frozen=True, slots=True)
class RequestBodies:
    """The requests of one kind of job."""

    settings: Settings
    kind: LeaseKind

    def held(self, owner_id: str, body: str) -> str:
        """The request as the lease holds it: the text, or the S3 URI of a large one.

        The same text has the same URI, so to write it twice is to write it once.
        """
        content = body.encode()
        if len(content) <= MOST_BYTES:
            return body
        name = f"{FOLDER}{owner_id}/{hashlib.sha256(content).hexdigest()}.json"
        return (self.settings.folder_of(self.kind) / name).uri

    async def keep(self, owner_id: str, body: str) -> str:
        """Write a large request to the bucket; returns what the lease holds.

        Before the lease names it: whoever finds the lease finds the request.

        Raises:
            BodyUnreachable: the bucket does not take it now.
        """
        held = self.held(owner_id, body)
        if held != body:
            place = S3Uri.parse(held)
            async with self._reach(place) as bucket:
                await bucket.put(place.key, body.encode())
        return held

    async def read(self, record: JobLease) -> JobLease:
        """Return the lease with the request's text in it.

        Raises:
            BodyUnreachable: it cannot be read now, or is gone.
        """
        if record.body_s3_uri is None:
            return record
        place = S3Uri.parse(record.body_s3_uri)
        async with self._reach(place) as bucket:
            return replace(record, body=(await bucket.get(place.key)).decode())

    @asynccontextmanager
    async def _reach(self, place: S3Uri) -> AsyncIterator[Bucket]:
        try:
            async with open_bucket(self.settings, place) as bucket:
                yield bucket
        except (BucketUnusable, QueueError) as error:
            raise BodyUnreachable(f"The request {place.uri} cannot be reached: {error}") from error
