"""Resumed downloads, conditional uploads and conditional copies."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import tenacity
from s3transfer.utils import ReadFileChunk

from run_records.errors import NetworkError
from run_records.s3_store import S3Store, StoredObject

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1_048_576


def resume_download(storage: S3Store, uri: str, path: Path, size: int) -> None:
    """Append to a file what is missing of an object; a transfer that breaks off is taken up again.

    Args:
        storage: where the bucket is allowed.
        uri: the object.
        path: the file, or where it is to be.
        size: bytes of the object.
    """
    path.touch()
    if path.stat().st_size > size:
        path.write_bytes(b"")
    _append_rest(storage, uri, path, size)


def replace_file(
    storage: S3Store, path: Path, uri: str, metadata: Mapping[str, str], standing: StoredObject | None
) -> str:
    """Upload a file if `standing` still is what lies there (None: nothing); returns the new ETag.

    In one request, of up to 5 GB: not every S3 holds the end of an upload in parts to a condition.

    Raises:
        ObjectChanged, ObjectMissing: something else lies there by now, or nothing.
    """
    place = storage.place(uri)
    condition = {"IfMatch": standing.etag} if standing else {"IfNoneMatch": "*"}

    def report(bytes_transferred: int) -> None:
        storage.on_bytes(bytes_transferred)

    with (
        ReadFileChunk.from_filename(str(path), 0, path.stat().st_size, [report]) as body,
        storage.translated(uri),
    ):
        answer = storage.client.put_object(
            Bucket=place.bucket, Key=place.key, Body=body, Metadata=dict(metadata), **condition
        )
    return str(answer["ETag"]).strip('"')


def copy_object(storage: S3Store, uri: str, to: str, etag: str) -> None:
    """Copy an object inside S3, with its metadata, if it still has this ETag.

    Raises:
        ObjectChanged, ObjectMissing: it has another one by now, or is gone.
    """
    source, target = storage.place(uri), storage.place(to)
    with storage.translated(uri):
        storage.client.copy_object(
            Bucket=target.bucket,
            Key=target.key,
            CopySource={"Bucket": source.bucket, "Key": source.key},
            CopySourceIfMatch=etag,
        )


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(NetworkError),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random_exponential(max=5),
    before_sleep=tenacity.before_sleep_log(log, logging.WARNING),
    reraise=True,
)
def _append_rest(storage: S3Store, uri: str, path: Path, size: int) -> None:
    place, start = storage.place(uri), path.stat().st_size
    if start == size:
        return
    with storage.translated(uri), path.open("ab") as stream:
        answer = storage.client.get_object(Bucket=place.bucket, Key=place.key, Range=f"bytes={start}-")
        for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
            stream.write(chunk)
            storage.on_bytes(len(chunk))
