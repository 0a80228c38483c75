"""Resolves model and receipts named on the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from messages.fields import S3Uri
from receipt_dynamo.client import DynamoClient
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.record_parser import LoadStatistics, build_receipt
from receipt_layoutlm.data.table_writer import NO_BUCKET
from receipt_layoutlm.inference.predictors import BundleLabeller, CheckpointLabeller, Predictor
from receipt_layoutlm.inference.receipt_json import read_receipt_file
from receipt_layoutlm.model_folder import download_model
from run_records.errors import DataError, RunError
from run_records.s3_store import S3Store

if TYPE_CHECKING:
    from PIL import Image


_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class FoundReceipt:
    """A receipt, its page size in any unit, and its picture's path or URI; None where it has none."""

    receipt: Receipt
    size: tuple[float, float] | None
    picture: S3Uri | None


def find_in_file(path: Path) -> FoundReceipt:
    """A receipt in a JSON file.

    Raises:
        DataError: the file cannot be read or is not of the form.
    """
    receipt, size = read_receipt_file(path)
    return FoundReceipt(receipt, (size.width, size.height) if size else None, None)


def find_in_table(client: DynamoClient, image_id: str, receipt_id: int) -> FoundReceipt:
    """A receipt of the table.

    Raises:
        NotFound: there is none of these ids.
        DataError: it has no words.
    """
    details = client.get_receipt_details(image_id, receipt_id)
    receipt, record = build_receipt(details, LoadStatistics()), details.receipt
    if not receipt.words:
        raise DataError(f"The receipt {receipt.key} has no words that can be read. Choose another one.")
    known = record.raw_s3_bucket != NO_BUCKET
    picture = S3Uri(bucket=record.raw_s3_bucket, key=record.raw_s3_key) if known else None
    size = (record.width, record.height) if record.width and record.height else None
    return FoundReceipt(receipt, size, picture)


@contextmanager
def open_model(kind: Literal["checkpoint", "bundle"], place: str, storage: S3Store) -> Iterator[Predictor]:
    """Open a model from a local path or an `s3://` URI; what was downloaded is gone afterwards.

    Raises:
        CheckpointError: there is no checkpoint that can be loaded.
        BundleError: there is no bundle that clients could load.
    """
    if kind == "bundle":
        # Here, because loading coremltools takes seconds that a checkpoint does not need.
        from receipt_layoutlm.coreml.open_bundle import open_bundle  # noqa: PLC0415

        with open_bundle(place, storage) as folder:
            yield BundleLabeller.open(folder)
    elif place.startswith(_S3):
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as name:
            download_model(storage, place if place.endswith("/") else f"{place}/", Path(name))
            yield CheckpointLabeller.open(Path(name))
    else:
        yield CheckpointLabeller.open(Path(place).expanduser())


def fetch_page(found: FoundReceipt, storage: S3Store) -> tuple[Image.Image | None, str | None]:
    """The receipt's picture, or None and the reason why there is none."""
    from receipt_layoutlm.inference.draw import read_page  # noqa: PLC0415 - Pillow is an extra

    if found.picture is None:
        return None, "the receipt has no picture"
    try:
        body = storage.read(found.picture.uri)
        return (read_page(body), None) if body else (None, f"there is no {found.picture.uri}")
    except (RunError, ValueError) as error:
        return None, f"{found.picture.uri}: {error}"
