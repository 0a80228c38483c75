"""Builds a `Receipt` from table records and counts malformed ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from receipt_dynamo import ReceiptDetails, ResultPage
from receipt_dynamo.clock import read_time
from receipt_dynamo.entities import ReceiptLine, ReceiptWord, ReceiptWordLabel
from receipt_dynamo.entities.field_types import Point
from receipt_layoutlm.data.page_layout import hull
from receipt_layoutlm.data.receipts import Box, Receipt, Word
from run_records.labels import CORE_LABELS

VALID = "VALID"


@dataclass(slots=True)
class LoadStatistics:
    """Counts of the records that were read and of those left out.

    Attributes:
        requests: requests to the table, retries included; 0 for an export or a snapshot.
        receipts: receipts that training may use.
        receipts_without_valid_label: left out: one without labels would teach that all is O.
        receipts_not_found: keys of the list of receipts to use that are not there.
        words: words of the receipts that were kept.
        words_skipped: words without text or without a finite box.
        words_with_several_valid_labels: the newest label counts, of equally new ones the first by name.
        words_with_unknown_label: the label that counts is no core label.
        labels_without_word: VALID labels whose word is not there or was skipped.
        boxes_inverted: bounding boxes of negative width or height; the corners count.
        boxes_without_area: boxes without width or height; they are kept.
        records_unreadable: words and labels that are no whole records.
        receipts_unreadable: receipts whose own record is no whole one; they are left out with their words.
    """

    requests: int = 0
    receipts: int = 0
    receipts_without_valid_label: int = 0
    receipts_not_found: int = 0
    words: int = 0
    words_skipped: int = 0
    words_with_several_valid_labels: int = 0
    words_with_unknown_label: int = 0
    labels_without_word: int = 0
    boxes_inverted: int = 0
    boxes_without_area: int = 0
    records_unreadable: int = 0
    receipts_unreadable: int = 0

    def to_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)

    def become(self, other: LoadStatistics) -> None:
        """Take over another one's counts."""
        for name, count in other.to_dict().items():
            setattr(self, name, count)


def build_receipts(found: ResultPage[ReceiptDetails], statistics: LoadStatistics) -> list[Receipt]:
    """The receipts of one image; those without a whole record of their own are counted in `statistics`."""
    statistics.receipts_unreadable += len(found.skipped)
    return [build_receipt(details, statistics) for details in found.items]


def build_receipt(details: ReceiptDetails, statistics: LoadStatistics) -> Receipt:
    """One receipt of the table's records; what is left out is counted in `statistics`."""
    # Lines are not needed: a word says itself which one it is on.
    statistics.records_unreadable += sum(
        error.record_type != ReceiptLine.TYPE for error in details.unreadable
    )
    names = _valid_names(details.labels, statistics)
    built = [word for record in details.words if (word := _build_word(record, names, statistics)) is not None]
    statistics.words_skipped += len(details.words) - len(built)
    statistics.labels_without_word += len(names.keys() - {(word.line_id, word.word_id) for word in built})
    ordered = sorted(built, key=lambda word: (word.line_id, word.word_id))
    return Receipt(details.receipt.image_id, details.receipt.receipt_id, tuple(ordered))


def _valid_names(
    labels: Sequence[ReceiptWordLabel], statistics: LoadStatistics
) -> dict[tuple[int, int], str]:
    by_word: dict[tuple[int, int], list[ReceiptWordLabel]] = defaultdict(list)
    for label in labels:
        if label.validation_status == VALID:
            by_word[label.line_id, label.word_id].append(label)
    statistics.words_with_several_valid_labels += sum(len(found) > 1 for found in by_word.values())
    names = {place: _newest(found).label for place, found in by_word.items()}
    statistics.words_with_unknown_label += sum(name not in CORE_LABELS for name in names.values())
    return names


def _newest(labels: Sequence[ReceiptWordLabel]) -> ReceiptWordLabel:
    newest = max(read_time(label.timestamp_added) for label in labels)
    return min(
        (label for label in labels if read_time(label.timestamp_added) == newest),
        key=lambda label: label.label,
    )


def _build_word(
    record: ReceiptWord, names: dict[tuple[int, int], str], statistics: LoadStatistics
) -> Word | None:
    points = [(point["x"], point["y"]) for point in _corners(record)]
    # Each number, because a NaN among four may pass minimum and maximum unseen.
    if not record.text.strip() or not all(map(math.isfinite, (edge for point in points for edge in point))):
        return None
    box = hull(points)
    statistics.boxes_without_area += _has_no_area(box)
    size = record.bounding_box
    statistics.boxes_inverted += size["width"] < 0 or size["height"] < 0
    label = names.get((record.line_id, record.word_id))
    return Word(record.line_id, record.word_id, record.text, box, label)


def _corners(record: ReceiptWord) -> tuple[Point, ...]:
    return record.top_left, record.top_right, record.bottom_left, record.bottom_right


def _has_no_area(box: Box) -> bool:
    x0, y0, x1, y1 = box
    return x0 == x1 or y0 == y1
