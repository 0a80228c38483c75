"""Replaces the zip that clients download: only by a newer run's, and never by chance over another export's.

The zip says in its metadata which export it is. Whoever would replace it reads that, decides, and writes on
the condition that the same zip still lies there; where it does not, both begin anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import ValidationError

from messages.child_protocol import CanonicalRule
from messages.fields import Message
from receipt_dynamo.clock import read_time
from run_records.aws_errors import ObjectChanged, ObjectMissing
from run_records.s3_store import SHA256, Storage, StoredObject, hash_file
from run_records.s3_transfers import copy_object, replace_file

log = logging.getLogger(__name__)

_TRIES = 10
_SUFFIX = ".zip"
_PLAIN = " :+"  # beside letters, digits and -._~


class Edition(Message):
    """Which bundle a zip holds.

    Attributes:
        run_created_at: when the training was asked for, ISO 8601; newer runs replace older ones.
        exported_at: of two exports of one run the later one replaces the other.
        f1: of the run, where it is known.
    """

    run: str
    run_created_at: str
    job_id: str
    export_id: str
    exported_at: str
    f1: float | None = None

    @property
    def moment(self) -> tuple[datetime, datetime]:
        """What editions are ordered by."""
        return read_time(self.run_created_at), read_time(self.exported_at)

    def to_metadata(self) -> dict[str, str]:
        """As S3 keeps it: names in lower case with hyphens, values in ASCII."""
        fields = self.model_dump(exclude_none=True)
        return {name.replace("_", "-"): quote(str(value), safe=_PLAIN) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Edition | None:
        """The edition of a zip, or None for one that says nothing of the kind."""
        given = {name: metadata.get(name.replace("_", "-")) for name in cls.model_fields}
        fields = {name: unquote(value) for name, value in given.items() if value is not None}
        try:
            edition = cls.model_validate(fields)
            _ = edition.moment
        except (ValidationError, ValueError):
            return None
        return edition


@dataclass(frozen=True, slots=True)
class Canonical:
    """The canonical zip after an export: its ETag, and why it is not this export's where it is not."""

    etag: str
    kept: str | None = None


def publish(storage: Storage, archive: Path, uri: str, ours: Edition, rule: CanonicalRule) -> Canonical:
    """Put a zip in the canonical place, unless a bundle lies there that has to stay.

    The zip that lay there before stays under `<canonical name>/<its ETag>.zip`.

    Raises:
        ObjectChanged: others wrote there each time that we had decided; another attempt can help.
    """
    metadata = {**ours.to_metadata(), SHA256: hash_file(archive)}
    for _ in range(_TRIES):
        standing = storage.head(uri)
        if standing and standing.metadata == metadata:
            log.info("an earlier attempt has put the same zip there")
            return Canonical(standing.etag)
        reason = _why_keep(standing, ours, rule)
        if standing and reason:
            return Canonical(standing.etag, reason)
        try:
            if standing:
                _preserve(storage, uri, standing)
            return Canonical(replace_file(storage, archive, uri, metadata, standing))
        except (ObjectChanged, ObjectMissing) as error:
            log.info("%s is looked at again: %s", uri, error)
    raise ObjectChanged(f"Others have replaced {uri} {_TRIES} times meanwhile. It is tried again later.")


def keep(storage: Storage, uri: str, reason: str) -> Canonical:
    """The canonical zip as it stands, for a bundle that must not take its place."""
    standing = storage.head(uri)
    return Canonical(standing.etag if standing else "", reason)


def preserved_uri(uri: str, etag: str) -> str:
    """Where a zip that was replaced stays."""
    return f"{uri.removesuffix(_SUFFIX)}/{etag}{_SUFFIX}"


def _why_keep(standing: StoredObject | None, ours: Edition, rule: CanonicalRule) -> str | None:
    theirs = Edition.from_metadata(standing.metadata) if standing else None
    # A zip of somebody who noted nothing is older than any that does.
    if theirs is None or theirs.export_id == ours.export_id:
        return None
    if theirs.moment > ours.moment:
        return f"It holds {theirs.run}, which is of {theirs.run_created_at} and so newer than {ours.run}."
    if rule == "better" and theirs.job_id != ours.job_id and not _is_better(ours, theirs):
        return f"It holds {theirs.run} with F1 {_show(theirs.f1)}; {ours.run} has {_show(ours.f1)}."
    return None


def _is_better(ours: Edition, theirs: Edition) -> bool:
    return ours.f1 is not None and (theirs.f1 is None or ours.f1 > theirs.f1)


def _show(f1: float | None) -> str:
    return "none that is known" if f1 is None else f"{f1:.4f}"


def _preserve(storage: Storage, uri: str, standing: StoredObject) -> None:
    """Copy what is about to be replaced, with its metadata."""
    to = preserved_uri(uri, standing.etag)
    if storage.head(to) is None:
        copy_object(storage, uri, to, standing.etag)
