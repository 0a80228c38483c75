"""Uploads a bundle and replaces the canonical zip by compare-and-swap."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

import pydantic
from pydantic import ValidationError

from messages.child_protocol import CanonicalRule, ExportTask
from messages.fields import Message
from receipt_dynamo.clock import read_time
from receipt_layoutlm.coreml.bundle import BUNDLE_NAMES, FORBIDDEN_NAME, ModelIdentity
from receipt_layoutlm.coreml.manifest import IDENTITY
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.ownership import refuse_enclosed
from run_records.aws_errors import ObjectChanged, ObjectMissing
from run_records.errors import ConfigurationError, Forbidden
from run_records.s3_store import OWNER, SHA256, S3Store, StoredObject, hash_file
from run_records.s3_transfers import copy_object, replace_file

log = logging.getLogger(__name__)

_TRIES = 10
_SUFFIX = ".zip"
_PLAIN = " :+"  # beside letters, digits and -._~


class Edition(Message):
    """The edition of the bundle that a zip holds.

    Attributes:
        run_created_at: time of the request to train, ISO 8601; newer runs replace older ones.
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
        """The sort key of editions."""
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


def publish(storage: S3Store, archive: Path, uri: str, ours: Edition, rule: CanonicalRule) -> Canonical:
    """Upload a zip to the canonical URI, unless the bundle there must not be replaced.

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


def keep(storage: S3Store, uri: str, reason: str) -> Canonical:
    """The canonical zip as it stands, for a bundle that must not take its place."""
    standing = storage.head(uri)
    return Canonical(standing.etag if standing else "", reason)


def preserved_uri(uri: str, etag: str) -> str:
    """The S3 URI at which a replaced zip is kept."""
    return f"{uri.removesuffix(_SUFFIX)}/{etag}{_SUFFIX}"


def _why_keep(standing: StoredObject | None, ours: Edition, rule: CanonicalRule) -> str | None:
    theirs = Edition.from_metadata(standing.metadata) if standing else None
    # A zip without edition metadata counts as older than any zip that has it.
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


def _preserve(storage: S3Store, uri: str, standing: StoredObject) -> None:
    """Copy what is about to be replaced, with its metadata."""
    to = preserved_uri(uri, standing.etag)
    if storage.head(to) is None:
        copy_object(storage, uri, to, standing.etag)


def check_destination(storage: S3Store, task: ExportTask) -> None:
    """Find out before minutes of work that the result could not be stored, or would lie on something else.

    Raises:
        Forbidden: a bucket that is not allowed, or a place of another job.
        ConfigurationError: a place that cannot hold a bundle.
    """
    canonical, wanted = storage.place(task.canonical_bundle_s3_uri), task.job.bundle_s3_uri
    if not canonical.key.endswith(".zip"):
        raise ConfigurationError(f"The canonical bundle {canonical.uri} must be named .zip.")
    home = f"{canonical.uri.rpartition('/')[0]}/{task.training_job_name}/"
    advice = f"Send the export again with output_s3_prefix {home}, which belongs to {task.training_job_name}."
    found = storage.list_keys(wanted)
    if FORBIDDEN_NAME in found:
        raise ConfigurationError(
            f"There is a {FORBIDDEN_NAME} under {wanted}; with it clients pick another tokenizer. "
            "Delete it, or choose another output_s3_prefix."
        )
    _check_content(wanted, found, advice)
    # The name is the training's, and with it this folder, whatever an earlier job of the name has left in it.
    if not wanted.startswith(home):
        refuse_enclosed(storage, wanted, advice, but=task.job.output_s3_prefix)
        _check_owner(storage, task, found, advice)


def _check_content(wanted: str, found: Iterable[str], advice: str) -> None:
    others = sorted(name for name in found if not _may_be_of_bundle(name.split("/")[0]))
    if others:
        raise Forbidden(
            f"Nothing is written to {wanted}: {others[0]} lies there, which is no part of a bundle. {advice}"
        )


def _may_be_of_bundle(part: str) -> bool:
    # Bundles of other shapes lie in folders of their own below that of the range.
    return part in BUNDLE_NAMES or re.fullmatch(r"(fixed|enum)(-\d+)+", part) is not None


def _check_owner(storage: S3Store, task: ExportTask, found: Iterable[str], advice: str) -> None:
    """Let a bundle only follow one of the same training, or what an attempt of it has left."""
    wanted, ours = task.job.bundle_s3_uri, task.training_job_id
    identity = _read_owner(storage, wanted)
    owners = {identity} if identity else {_owner_of(storage, f"{wanted}{name}") for name in found}
    if others := owners - {ours}:
        other = next(iter(others)) or "a job that is not known"
        raise Forbidden(f"Nothing is written to {wanted}: it holds a bundle of {other}. {advice}")


def _read_owner(storage: S3Store, prefix: str) -> str | None:
    try:
        return ModelIdentity.model_validate_json(storage.read(prefix + IDENTITY) or b"").training_job_id
    except pydantic.ValidationError:
        return None


def _owner_of(storage: S3Store, uri: str) -> str | None:
    stored = storage.head(uri)
    return stored.metadata.get(OWNER) if stored else None


def upload_bundle(storage: S3Store, folder: Path, prefix: str, training_job_id: str) -> None:
    """Upload a checked bundle below a prefix, its identity last, and check that it is complete there.

    Raises:
        BundleError: another writer was at the same prefix; the canonical bundle must stay as it is.
    """
    storage.upload_folder(folder, prefix, last=IDENTITY, metadata={OWNER: training_job_id})
    _check_arrived(storage, folder, prefix)


def _check_arrived(storage: S3Store, folder: Path, prefix: str) -> None:
    stored = storage.list_keys(prefix)
    wanted = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }
    wrong = sorted(name for name, size in wanted.items() if stored.get(name) != size)
    if wrong:
        raise BundleError(
            f"{', '.join(wrong[:3])} under {prefix} is not what was uploaded; another export writes to the "
            "same prefix. The canonical bundle was left as it is; give each export a prefix of its own."
        )
