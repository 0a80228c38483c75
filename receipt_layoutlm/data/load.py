"""Reads the labelled receipts of the table: one partition query an image, many at a time."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from receipt_dynamo import DynamoClient, ReceiptDetails
from receipt_dynamo.entities import ReceiptWord, ReceiptWordLabel
from receipt_dynamo.times import read_time
from receipt_layoutlm.data.geometry import hull
from receipt_layoutlm.data.receipts import Receipt, Word
from receipt_layoutlm.errors import DataError

log = logging.getLogger(__name__)

THREADS = 8
VALID = "VALID"


@dataclass(slots=True)
class LoadStatistics:
    """What was read and what was left out.

    Attributes:
        requests: requests to the table, retries included; 0 for a snapshot.
        receipts: receipts that training may use.
        receipts_without_valid_label: left out: one without labels would teach that all is O.
        words: words of the receipts that were kept.
        words_skipped: words without text or without a finite box.
        words_with_several_valid_labels: the newest label counts, of equally new ones the first by name.
        labels_without_word: VALID labels whose word is not there or was skipped.
    """

    requests: int = 0
    receipts: int = 0
    receipts_without_valid_label: int = 0
    words: int = 0
    words_skipped: int = 0
    words_with_several_valid_labels: int = 0
    labels_without_word: int = 0

    def to_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoadedReceipts:
    """Receipts with at least one VALID label, sorted by key, and how they were come by."""

    receipts: tuple[Receipt, ...]
    statistics: LoadStatistics = field(default_factory=LoadStatistics)


def load_receipts(
    client: DynamoClient, on_image: Callable[[int, int], None] | None = None, threads: int = THREADS
) -> LoadedReceipts:
    """Read every receipt of the table that has a VALID label.

    Args:
        client: the table.
        on_image: told images read and images in all.
        threads: images read at a time.

    Raises:
        DataError: no receipt has a VALID label.
    """
    requests_before = client.request_count
    statistics = LoadStatistics()
    images = sorted({key.image_id for key in client.list_receipt_keys().items})
    receipts: list[Receipt] = []
    with ThreadPoolExecutor(threads) as pool:
        for done, details in enumerate(pool.map(client.get_image_receipts, images), start=1):
            receipts += [build_receipt(one, statistics) for one in details]
            if on_image:
                on_image(done, len(images))
    kept = keep_labelled(receipts, statistics)
    statistics.requests = client.request_count - requests_before
    log.info("read %d receipts with %d requests: %s", len(receipts), statistics.requests, statistics)
    return LoadedReceipts(kept, statistics)


def build_receipt(details: ReceiptDetails, statistics: LoadStatistics) -> Receipt:
    """One receipt of the table's records; what is left out is counted in `statistics`."""
    names = _valid_names(details.labels, statistics)
    built = [word for record in details.words if (word := _build_word(record, names)) is not None]
    statistics.words_skipped += len(details.words) - len(built)
    statistics.labels_without_word += len(names.keys() - {(word.line_id, word.word_id) for word in built})
    ordered = sorted(built, key=lambda word: (word.line_id, word.word_id))
    return Receipt(details.receipt.image_id, details.receipt.receipt_id, tuple(ordered))


def keep_labelled(receipts: Iterable[Receipt], statistics: LoadStatistics) -> tuple[Receipt, ...]:
    """The receipts with at least one VALID label, sorted by key.

    Raises:
        DataError: there is none.
    """
    found = sorted(receipts, key=lambda receipt: receipt.key)
    kept = tuple(receipt for receipt in found if any(word.label for word in receipt.words))
    if not kept:
        raise DataError(
            f"None of {len(found)} receipts has a word label of status VALID. Validate labels in the table, "
            "or import labelled receipts."
        )
    statistics.receipts = len(kept)
    statistics.receipts_without_valid_label = len(found) - len(kept)
    statistics.words = sum(len(receipt.words) for receipt in kept)
    return kept


def _valid_names(
    labels: Sequence[ReceiptWordLabel], statistics: LoadStatistics
) -> dict[tuple[int, int], str]:
    by_word: dict[tuple[int, int], list[ReceiptWordLabel]] = defaultdict(list)
    for label in labels:
        if label.validation_status == VALID:
            by_word[label.line_id, label.word_id].append(label)
    statistics.words_with_several_valid_labels += sum(len(found) > 1 for found in by_word.values())
    return {place: _newest(found).label for place, found in by_word.items()}


def _newest(labels: Sequence[ReceiptWordLabel]) -> ReceiptWordLabel:
    newest = max(read_time(label.timestamp_added) for label in labels)
    return min(
        (label for label in labels if read_time(label.timestamp_added) == newest),
        key=lambda label: label.label,
    )


def _build_word(record: ReceiptWord, names: dict[tuple[int, int], str]) -> Word | None:
    points = (record.top_left, record.top_right, record.bottom_left, record.bottom_right)
    box = hull((point["x"], point["y"]) for point in points)
    if not record.text.strip() or not all(math.isfinite(edge) for edge in box):
        return None
    label = names.get((record.line_id, record.word_id))
    return Word(record.line_id, record.word_id, record.text, box, label)
