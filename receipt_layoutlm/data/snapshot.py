"""Freezes the receipts of a run in one Parquet file, so that another run trains on exactly the same ones."""

from __future__ import annotations

import hashlib
import json
import mmap
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from receipt_layoutlm.data.dataset_hash import count_labels, hash_receipts
from receipt_layoutlm.data.receipt_table import SCHEMA, ReceiptTable, as_table, store_batches, to_batches
from receipt_layoutlm.data.receipts import Receipt
from run_records.errors import ConfigurationError, DataError
from run_records.s3_store import OWNER, SHA256, S3Store, hash_file
from run_records.s3_transfers import resume_download

SCHEMA_VERSION = 2
"""Version 1 was gzipped JSON lines."""
_HEADER = b"receipt_layoutlm"
_NO_DIGEST = "0" * hashlib.sha256().digest_size * 2
_S3 = "s3://"


class SnapshotHeader(BaseModel):
    """The header of a snapshot, as JSON in the file's metadata.

    Attributes:
        content_hash: of the receipts, the same for the same ones in whatever file.
        created_from: the query that found them, for people.
        receipts: their number.
        labels: words of each label.
        file_sha256: of the whole file, with zeros in this place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: int
    content_hash: str
    created_from: str
    receipts: int
    labels: dict[str, int]
    file_sha256: str


def save_snapshot(  # noqa: PLR0913 - what to freeze, where, and whose it is
    storage: S3Store,
    place: str,
    receipts: Sequence[Receipt],
    created_from: str,
    folder: Path | None = None,
    *,
    job_id: str | None = None,
) -> str:
    """Write receipts; returns their content hash. The same receipts give the same bytes.

    Args:
        storage: where the bucket is allowed.
        place: an S3 URI, or a path on this disk.
        receipts: what to freeze.
        created_from: what the receipts were read from, for people.
        folder: where the file lies until it is in S3; by default the system's.
        job_id: whose snapshot it is: what another one has written to the same place stays.

    Raises:
        ConfigurationError: something else lies at the S3 URI.
    """
    header = SnapshotHeader(
        schema_version=SCHEMA_VERSION,
        content_hash=hash_receipts(receipts),
        created_from=created_from,
        receipts=len(receipts),
        labels=count_labels(receipts),
        file_sha256=_NO_DIGEST,
    )
    if place.startswith(_S3):
        with tempfile.TemporaryDirectory(dir=folder, prefix="snapshot-") as name:
            path = Path(name) / "snapshot.parquet"
            _write(path, receipts, header)
            _upload(storage, path, place, job_id)
    else:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        _write(Path(place), receipts, header)
    return header.content_hash


def load_snapshot(storage: S3Store, place: str, folder: Path | None = None) -> tuple[ReceiptTable, str]:
    """Read a snapshot; returns the receipts and their content hash.

    Args:
        storage: where the bucket is allowed.
        place: an S3 URI, or a path on this disk.
        folder: where the receipts lie while they are used; by default the system's.

    Raises:
        DataError: it is missing, damaged, or of another schema.
    """
    with _local(storage, place, folder) as path:
        header = _read_header(path, place)
        try:
            with pq.ParquetFile(path) as file:
                receipts = store_batches(_read_batches(file), folder)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(place, str(error)) from error
    if hash_receipts(receipts) != header.content_hash:
        raise _damaged(place, "its content is not what it says")
    return receipts, header.content_hash


def _write(path: Path, receipts: Sequence[Receipt], header: SnapshotHeader) -> None:
    # Anew from the receipts, so that row groups, too, follow from them alone.
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", store_schema=False) as writer:
        for batch in to_batches(as_table(receipts)):
            writer.write_batch(batch)
        writer.add_key_value_metadata({_HEADER.decode(): header.model_dump_json()})
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        at = content.rfind(_NO_DIGEST.encode())
        content[at : at + len(_NO_DIGEST)] = _hash_around(content, at).encode()


def _read_header(path: Path, place: str) -> SnapshotHeader:
    try:
        metadata = pq.read_metadata(path).metadata or {}
        content = json.loads(metadata[_HEADER])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _damaged(place, "it is no Parquet file of this package") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"The snapshot {place} is not of schema {SCHEMA_VERSION}. Write it again with this version."
        )
    try:
        header = SnapshotHeader.model_validate(content)
    except ValidationError as error:
        raise _damaged(place, "its header is not what this version writes") from error
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at = whole.rfind(header.file_sha256.encode())
        if _hash_around(whole, at) != header.file_sha256:
            raise _damaged(place, "its bytes are not those that were written")
    return header


def _hash_around(content: mmap.mmap, at: int) -> str:
    """SHA-256 of a file with zeros in place of the digest that stands at a position."""
    end = at + len(_NO_DIGEST)
    with memoryview(content) as view:
        digest = hashlib.sha256(view[:at])
        digest.update(_NO_DIGEST.encode())
        digest.update(view[end:])
    return digest.hexdigest()


def _read_batches(file: Any) -> Iterator[Any]:
    for number in range(file.num_row_groups):
        yield from file.read_row_group(number).cast(SCHEMA).combine_chunks().to_batches()


def _upload(storage: S3Store, path: Path, place: str, job_id: str | None) -> None:
    digest, standing = hash_file(path), storage.head(place)
    if standing is not None and standing.metadata.get(SHA256) == digest:
        return
    if standing is not None and standing.metadata.get(OWNER) != job_id:
        raise ConfigurationError(
            f"{place} holds something that this job has not written, and a snapshot is never written over. "
            "Choose another name for dataset_snapshot_save."
        )
    storage.upload_file(path, place, {SHA256: digest, **({OWNER: job_id} if job_id else {})})


@contextmanager
def _local(storage: S3Store, place: str, folder: Path | None) -> Iterator[Path]:
    if not place.startswith(_S3):
        if not Path(place).is_file():
            raise _missing(place)
        yield Path(place)
        return
    standing = storage.head(place)
    if standing is None:
        raise _missing(place)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="snapshot-") as name:
        path = Path(name) / "snapshot.parquet"
        resume_download(storage, place, path, standing.size)
        yield path


def _missing(place: str) -> DataError:
    return DataError(
        f"There is no snapshot {place}. Write it with dataset_snapshot_save, or correct the name."
    )


def _damaged(place: str, why: str) -> DataError:
    return DataError(f"The snapshot {place} is damaged ({why}). Write it again.")
