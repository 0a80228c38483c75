"""Loads receipts from a DynamoDB export in S3."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import logging
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from receipt_dynamo import Receipt as ReceiptRecord
from receipt_dynamo import ReceiptWord, ReceiptWordLabel
from receipt_dynamo.keys import IMAGE_PK
from receipt_dynamo.operations.receipts import gather_receipts, kind_of
from receipt_dynamo.skipped import skipped_noted
from receipt_dynamo.types import Item
from receipt_layoutlm.data.external_sort import ExternalSort
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.record_parser import LoadStatistics, build_receipts
from receipt_layoutlm.data.table_loader import LoadedReceipts, keep_labelled
from run_records.errors import DataError
from run_records.parallel import map_ahead
from run_records.s3_store import S3Store
from run_records.s3_transfers import resume_download

SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"
DATA = "data/"
_AGAIN = "Export the table again, or name another export."

M = TypeVar("M", bound="_Manifest")


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Summary(_Manifest):
    item_count: int = Field(alias="itemCount", ge=0)
    output_format: Literal["DYNAMODB_JSON"] = Field(alias="outputFormat")
    export_type: Literal["FULL_EXPORT"] = Field("FULL_EXPORT", alias="exportType")


class _File(_Manifest):
    item_count: int = Field(alias="itemCount", ge=0)
    md5: str = Field(alias="md5Checksum")
    key: str = Field(alias="dataFileS3Key", min_length=1)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of an export: its key, its MD5 in base64, and its number of items."""

    uri: str
    md5: str
    item_count: int


def list_files(storage: S3Store, prefix: str) -> list[ExportFile]:
    """The files of a full export in DynamoDB JSON, in the order of its manifest.

    Args:
        storage: where the bucket is allowed.
        prefix: the folder with manifest-summary.json, with its slash.

    Raises:
        DataError: it is not finished, of another kind, or its manifests contradict each other.
    """
    summary = _parse(_Summary, _read(storage, prefix + SUMMARY), prefix + SUMMARY)
    lines = [line for line in _read(storage, prefix + FILES).splitlines() if line.strip()]
    files = [_parse(_File, line, prefix + FILES) for line in lines]
    total = sum(file.item_count for file in files)
    if total != summary.item_count:
        raise DataError(
            f"{prefix + FILES} counts {total} items and {SUMMARY} {summary.item_count}, so files are missing "
            f"there. {_AGAIN}"
        )
    # By the name alone, beside the manifests: an export may have been copied, and a key leads nowhere else.
    return [
        ExportFile(f"{prefix}{DATA}{file.key.rpartition('/')[2]}", file.md5, file.item_count)
        for file in files
    ]


def read_items(storage: S3Store, file: ExportFile, path: Path) -> Iterator[tuple[Item, bytes]]:
    """Each item of a file with the line that it stands in.

    Args:
        storage: where the bucket is allowed.
        file: the file.
        path: where it is downloaded to; nothing lies there before and after.

    Raises:
        DataError: it is missing, damaged, or not what the manifest says.
    """
    standing = storage.head(file.uri)
    if standing is None:
        raise DataError(f"The export's file {file.uri} is missing. {_AGAIN}")
    try:
        resume_download(storage, file.uri, path, standing.size)
        _check_md5(path, file)
        yield from _read_lines(path, file)
    finally:
        path.unlink(missing_ok=True)


def _check_md5(path: Path, file: ExportFile) -> None:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if base64.b64encode(digest).decode() != file.md5:
        raise _damaged(file, "its MD5 is not the manifest's")


def _read_lines(path: Path, file: ExportFile) -> Iterator[tuple[Item, bytes]]:
    items = 0
    try:
        with gzip.open(path, "rb") as lines:
            for items, line in enumerate(lines, start=1):  # noqa: B007 - their number counts below
                yield _item(line, file), line
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, str(error)) from error
    if items != file.item_count:
        raise _damaged(file, f"it has {items} items and the manifest says {file.item_count}")


def _item(line: bytes, file: ExportFile) -> Item:
    try:
        item: Any = json.loads(line)["Item"]
        if isinstance(item["PK"], dict) and isinstance(item["SK"], dict):
            return dict(item)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, "a line is no item with PK and SK") from error
    raise _damaged(file, "a line is no item with PK and SK")


def _read(storage: S3Store, uri: str) -> bytes:
    body = storage.read(uri)
    if body is None:
        raise DataError(
            f"There is no {uri}. Wait until the export is finished, or name the folder with its manifests."
        )
    return body


def _parse(kind: type[M], body: bytes, uri: str) -> M:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the line"
        raise DataError(
            f"{uri} is of no full export in DynamoDB JSON: {where}: {fault['msg']}. {_AGAIN}"
        ) from error


def _damaged(file: ExportFile, why: str) -> DataError:
    return DataError(f"The export's file {file.uri} is damaged ({why}). {_AGAIN}")


log = logging.getLogger(__name__)

THREADS = 4
_NEEDED = frozenset({ReceiptRecord.TYPE, ReceiptWord.TYPE, ReceiptWordLabel.TYPE})


def load_export(
    storage: S3Store,
    prefix: str,
    folder: Path | None = None,
    on_file: Callable[[int, int], None] | None = None,
    *,
    keys: Collection[str] | None = None,
) -> LoadedReceipts:
    """Read the receipts of a full export that have a VALID label; the very ones that the table would give.

    Args:
        storage: where the bucket is allowed.
        prefix: the folder with manifest-summary.json, with its slash.
        folder: where files lie while they are used; by default the system's.
        on_file: told files read and files in all.
        keys: the only receipts to use.

    Raises:
        DataError: the export is not whole or of another kind, or has no receipt that is wanted.
    """
    files = list_files(storage, prefix)
    wanted = None if keys is None else {key.partition("#")[0] for key in keys}
    statistics = LoadStatistics()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="export-") as name, ExternalSort(Path(name)) as piles:
        numbers = count()

        def sort(file: ExportFile) -> None:
            for item, line in read_items(storage, file, Path(name) / f"download-{next(numbers)}"):
                if _is_needed(item, wanted):
                    piles.put(_image_of(item), line)

        for done, _ in enumerate(map_ahead(sort, files, THREADS), start=1):
            if on_file:
                on_file(done, len(files))
        with skipped_noted() as skipped:
            loaded = keep_labelled(_build(piles, statistics), statistics, keys=keys, folder=folder)
    if skipped:
        log.warning("%s", skipped)
    log.info("read the export %s: %s", prefix, statistics)
    return loaded


def _build(piles: ExternalSort, statistics: LoadStatistics) -> Iterator[Receipt]:
    for image, lines in piles.take_down():
        items = [json.loads(line)["Item"] for line in lines]
        _check_distinct(image, items)
        yield from build_receipts(gather_receipts(items), statistics)


def _is_needed(item: Item, images: Collection[str] | None) -> bool:
    return kind_of(item) in _NEEDED and (images is None or _image_of(item) in images)


def _image_of(item: Item) -> str:
    return str(item["PK"].get("S", "")).removeprefix(IMAGE_PK.lead)


def _check_distinct(image: str, items: list[Item]) -> None:
    found: set[str] = set()
    for item in items:
        key = item["SK"]["S"]
        if key in found:
            place = f"{IMAGE_PK.build(image_id=image)} / {key}"
            raise DataError(f"The export has the item {place} twice. Export the table again.")
        found.add(key)
