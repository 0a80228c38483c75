"""Puts a checked bundle where clients find it, in an order in which none of them meets half of one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pydantic

from messages.child_protocol import ExportTask
from receipt_layoutlm.coreml.bundle import BUNDLE_NAMES, FORBIDDEN_NAME, ModelIdentity
from receipt_layoutlm.coreml.manifest import IDENTITY
from receipt_layoutlm.errors import BundleError
from receipt_layoutlm.ownership import refuse_enclosed
from run_records.errors import ConfigurationError, Forbidden
from run_records.s3_store import OWNER, Storage


def check_destination(storage: Storage, task: ExportTask) -> None:
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


def _check_owner(storage: Storage, task: ExportTask, found: Iterable[str], advice: str) -> None:
    """Let a bundle only follow one of the same training, or what an attempt of it has left."""
    wanted, ours = task.job.bundle_s3_uri, task.training_job_id
    identity = _read_owner(storage, wanted)
    owners = {identity} if identity else {_owner_of(storage, f"{wanted}{name}") for name in found}
    if others := owners - {ours}:
        other = next(iter(others)) or "a job that is not known"
        raise Forbidden(f"Nothing is written to {wanted}: it holds a bundle of {other}. {advice}")


def _read_owner(storage: Storage, prefix: str) -> str | None:
    try:
        return ModelIdentity.model_validate_json(storage.read(prefix + IDENTITY) or b"").training_job_id
    except pydantic.ValidationError:
        return None


def _owner_of(storage: Storage, uri: str) -> str | None:
    stored = storage.head(uri)
    return stored.metadata.get(OWNER) if stored else None


def upload_bundle(storage: Storage, folder: Path, prefix: str, training_job_id: str) -> None:
    """Upload a checked bundle below a prefix, its identity last, and make sure that it lies there whole.

    Raises:
        BundleError: another writer was at the same prefix; the canonical bundle must stay as it is.
    """
    storage.upload_folder(folder, prefix, last=IDENTITY, metadata={OWNER: training_job_id})
    _check_arrived(storage, folder, prefix)


def _check_arrived(storage: Storage, folder: Path, prefix: str) -> None:
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
