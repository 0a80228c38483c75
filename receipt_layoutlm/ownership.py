"""Checks in S3 whether a destination is inside a folder of another job: a run, a checkpoint or a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from receipt_layoutlm.checkpoint import WEIGHTS
from run_records.errors import Forbidden
from run_records.s3_store import S3Store

RUN_JSON = "run.json"
BUNDLE_IDENTITY = "model_identity.json"
_MARKS: Mapping[str, str] = {RUN_JSON: "a run", WEIGHTS: "a checkpoint", BUNDLE_IDENTITY: "a bundle"}
"""The file that each kind of folder has, and no other."""


def refuse_enclosed(storage: S3Store, uri: str, advice: str, *, but: str | None = None) -> None:
    """Refuse a destination in the middle of a run, a checkpoint or a bundle.

    Args:
        storage: where the bucket is allowed.
        uri: the destination, with its slash where it is a folder.
        advice: which destination is right.
        but: a folder that the destination may lie in.

    Raises:
        Forbidden: saying what the destination would be a part of.
    """
    for folder in _above(uri):
        if folder == but:
            return
        refuse_marked(storage, folder, uri, advice)


def refuse_marked(storage: S3Store, folder: str, uri: str, advice: str, *, but: str | None = None) -> None:
    """Refuse a destination whose folder is a run's, a checkpoint's or a bundle's, except by the mark `but`.

    Raises:
        Forbidden: saying which.
    """
    for name, what in _MARKS.items():
        if name != but and storage.head(f"{folder}{name}") is not None:
            raise Forbidden(f"Nothing is written to {uri}: {folder} is the folder of {what}. {advice}")


def _above(uri: str) -> Iterator[str]:
    """The folders that contain a destination, the nearest first, without the bucket itself."""
    folder = uri.removesuffix("/").rpartition("/")[0]
    while folder.count("/") > 2:  # noqa: PLR2004 - s3://bucket/folder
        yield f"{folder}/"
        folder = folder.rpartition("/")[0]
