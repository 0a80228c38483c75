"""Puts a checked bundle where clients find it, in an order in which none of them meets half of one."""

from __future__ import annotations

from pathlib import Path

from receipt_layoutlm.coreml.bundle import FORBIDDEN_NAME
from receipt_layoutlm.coreml.manifest import IDENTITY
from receipt_layoutlm.errors import BundleError, ConfigurationError
from receipt_layoutlm.storage import Storage


def check_destination(storage: Storage, output_s3_prefix: str, canonical_bundle_s3_uri: str) -> None:
    """Find out before minutes of work that the result could not be stored.

    Raises:
        Forbidden: a bucket that is not allowed.
        ConfigurationError: a place that cannot hold a bundle.
    """
    if not storage.place(canonical_bundle_s3_uri).key.endswith(".zip"):
        raise ConfigurationError(f"The canonical bundle {canonical_bundle_s3_uri} must be named .zip.")
    if FORBIDDEN_NAME in storage.list_keys(output_s3_prefix):
        raise ConfigurationError(
            f"There is a {FORBIDDEN_NAME} under {output_s3_prefix}; with it clients pick another tokenizer. "
            "Delete it, or choose another output_s3_prefix."
        )


def upload_bundle(storage: Storage, folder: Path, prefix: str) -> None:
    """Upload a checked bundle below a prefix, its identity last, and make sure that it lies there whole.

    Raises:
        BundleError: another writer was at the same prefix; the canonical bundle must stay as it is.
    """
    storage.upload_folder(folder, prefix, last=IDENTITY)
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
