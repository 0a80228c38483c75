"""Reads the labelled receipts of the table's own export to S3, which costs the table no read capacity.

DynamoDB writes one gzip of JSON lines or more for each of its partitions, in no order that it vouches for. So
the items that matter are first sorted into files by image, and each of those is then read as a whole.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator
from itertools import count
from pathlib import Path

from receipt_dynamo import Receipt as ReceiptRecord
from receipt_dynamo import ReceiptWord, ReceiptWordLabel
from receipt_dynamo.keys import IMAGE_PK
from receipt_dynamo.operations.receipts import gather_receipts, kind_of
from receipt_dynamo.skipped import skipped_noted
from receipt_dynamo.types import Item
from receipt_layoutlm.data.build import LoadStatistics, build_receipts
from receipt_layoutlm.data.export_files import ExportFile, list_files, read_items
from receipt_layoutlm.data.load import LoadedReceipts, keep_labelled
from receipt_layoutlm.data.piles import Piles
from receipt_layoutlm.data.receipts import Receipt
from run_records.errors import DataError
from run_records.parallel import map_ahead
from run_records.s3_store import Storage

log = logging.getLogger(__name__)

THREADS = 4
_NEEDED = frozenset({ReceiptRecord.TYPE, ReceiptWord.TYPE, ReceiptWordLabel.TYPE})


def load_export(
    storage: Storage,
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
    with tempfile.TemporaryDirectory(dir=folder, prefix="export-") as name, Piles(Path(name)) as piles:
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


def _build(piles: Piles, statistics: LoadStatistics) -> Iterator[Receipt]:
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
