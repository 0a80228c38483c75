"""Finds the validation receipts of the run that a checkpoint belongs to, for the gate quality."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pydantic

from receipt_dynamo import DynamoClient
from receipt_layoutlm.coreml.verify.quality import Validation
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.record_parser import LoadStatistics, build_receipts
from run_records.parallel import map_ahead
from run_records.run_json import RUN_JSON, _read_run_json, _Run
from run_records.s3_store import S3Store

MAX_RECEIPTS = 64
"""More are not read: of a large model they are not evaluated, and of a small one they tell enough."""
_THREADS = 8
log = logging.getLogger(__name__)


def find_validation(storage: S3Store, model_s3_uri: str, table_name: str | None) -> Validation:
    """Read validation receipts of a checkpoint's run from the table; without them, why there are none.

    Args:
        storage: where the checkpoint's bucket is allowed.
        model_s3_uri: the checkpoint; its run.json lies one or two folders above.
        table_name: the table with the receipts.

    Raises:
        RunError, DynamoError: bucket or table cannot be reached.
    """
    body = _read_run_json(storage, model_s3_uri)
    if body is None:
        return Validation(why_none=f"no {RUN_JSON} lies above {model_s3_uri}")
    try:
        keys = sorted(set(_Run.model_validate_json(body).split_metadata.val_receipt_keys))
    except pydantic.ValidationError:
        return Validation(why_none=f"the {RUN_JSON} above {model_s3_uri} names no validation receipts")
    if table_name is None:
        return Validation(total=len(keys), why_none="no table is named to read validation receipts from")
    receipts = _read_receipts(DynamoClient(table_name, max_pool_connections=_THREADS), keys[:MAX_RECEIPTS])
    log.info("read %d of %d validation receipts", len(receipts), len(keys))
    why_none = f"none of the run's {len(keys)} validation receipts is in the table {table_name}"
    return Validation(receipts, len(keys), why_none)


def find_validation_by_hand(storage: S3Store, checkpoint: str, table_name: str | None) -> Validation:
    """As `find_validation`, for a checkpoint that may lie on this disk, where no run is beside it."""
    if not checkpoint.startswith("s3://"):
        return Validation(why_none=f"{checkpoint} does not lie in S3 with its run")
    return find_validation(storage, checkpoint, table_name)


def _read_receipts(client: DynamoClient, keys: Sequence[str]) -> list[Receipt]:
    """The labelled receipts among those named, in the order of their keys."""
    images = sorted({key.partition("#")[0] for key in keys})
    found = [
        receipt
        for image in map_ahead(client.get_image_receipts, images, _THREADS)
        for receipt in build_receipts(image, LoadStatistics())
    ]
    named = set(keys)
    labelled = [one for one in found if one.key in named and any(word.label for word in one.words)]
    return sorted(labelled, key=lambda receipt: receipt.key)
