"""Receipts with their lines, words and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias, get_args

from receipt_dynamo.entities import Receipt, ReceiptLine, ReceiptWord, ReceiptWordLabel
from receipt_dynamo.entities.field_types import ValidationStatus
from receipt_dynamo.entities.record import fields_of, fits_key, type_of
from receipt_dynamo.errors import InvalidItem, NotFound
from receipt_dynamo.operation import Operation, ResultPage, count_all, read_all, read_pages
from receipt_dynamo.requests import queries
from receipt_dynamo.skipped import note_skipped
from receipt_dynamo.types import Item


class ReceiptKey(NamedTuple):
    """The key of a receipt: its image and its number there."""

    image_id: str
    receipt_id: int


class ReceiptDetails(NamedTuple):
    """A receipt with everything on it, each list in the order of its ids.

    `unreadable` says what is wrong with items that no line, word or label can be made of. One word that other
    software wrote without its corners is no reason to lose the receipt.
    """

    receipt: Receipt
    lines: list[ReceiptLine]
    words: list[ReceiptWord]
    labels: list[ReceiptWordLabel]
    unreadable: list[InvalidItem]


def get_receipt_details(table: str, image_id: str, receipt_id: int) -> Operation[ReceiptDetails]:
    """Return a receipt with its lines, words and labels, read in one query; raise `NotFound`."""
    found = yield from read_all(queries.receipt_contents(table, image_id, receipt_id), _as_is)
    details = gather_receipts(found.items).items
    if not details:
        raise NotFound(f"Receipt {receipt_id} of image {image_id} does not exist in {table}. Check both ids.")
    return details[0]


def get_image_receipts(table: str, image_id: str) -> Operation[ResultPage[ReceiptDetails]]:
    """Return every receipt of an image, read in one query; lines and words without a receipt are left out.

    `skipped` of what returns says which receipts have no whole record of their own.
    """
    found = yield from read_all(queries.image_contents(table, image_id), _as_is)
    return gather_receipts(found.items)


def list_receipt_words_from_receipt(
    table: str,
    image_id: str,
    receipt_id: int,
    limit: int | None = None,
    last_evaluated_key: Item | None = None,
) -> Operation[ResultPage[ReceiptWord]]:
    """Return a receipt's words in the order of their line and word ids; empty where there is no receipt."""
    request = queries.words_of_receipt(table, image_id, receipt_id)
    return read_pages(request, ReceiptWord.from_item, limit, last_evaluated_key)


def list_receipts(
    table: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[Receipt]]:
    """Return receipts of every image, in no order."""
    return read_pages(queries.of_type(table, Receipt.TYPE), Receipt.from_item, limit, last_evaluated_key)


def list_receipt_keys(
    table: str, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[ReceiptKey]]:
    """Return which receipts there are without reading them, in no order."""
    request = queries.of_type(table, Receipt.TYPE, only="#PK, #SK")
    return read_pages(request, _receipt_key, limit, last_evaluated_key)


def count_receipts(table: str) -> Operation[int]:
    """Return how many receipts there are."""
    return count_all(queries.count_of_type(table, Receipt.TYPE))


def list_receipt_word_labels_with_status(
    table: str, status: ValidationStatus, limit: int | None = None, last_evaluated_key: Item | None = None
) -> Operation[ResultPage[ReceiptWordLabel]]:
    """Return the labels of one validation status, by image, receipt and word."""
    request = queries.labels_with_status(table, status)
    return read_pages(request, ReceiptWordLabel.from_item, limit, last_evaluated_key)


LabelCounts: TypeAlias = dict[str, dict[ValidationStatus, int]]
"""Label to validation status to records, those that there are."""


def count_labels(table: str, label: str, status: ValidationStatus) -> Operation[int]:
    """Return how many records of one label have one validation status."""
    return count_all(queries.labels_of_status(table, label, status))


def count_all_labels(table: str) -> Operation[LabelCounts]:
    """Return for each label how many of its records have each validation status, absent ones left out."""
    counts: LabelCounts = {}
    statuses: tuple[ValidationStatus, ...] = get_args(ValidationStatus)
    for status in statuses:
        request = queries.labels_with_status(table, status, only="#PK, #SK")
        labels = yield from read_all(request, _label_of)
        for label, count in sorted(Counter(labels.items).items()):
            counts.setdefault(label, {})[status] = count
    return counts


def gather_receipts(items: Iterable[Item]) -> ResultPage[ReceiptDetails]:
    """The receipts of one image from its items, in whatever order; what belongs to no receipt is left out.

    A receipt whose own record is damaged is left out as a whole: where it lies says nothing about its words.
    """
    # The partition also holds kinds that are not ours (letters, metadata): they are passed over unread.
    ordered = sorted(items, key=lambda item: item["SK"]["S"])
    receipts: dict[int, ReceiptDetails] = {}
    skipped = []
    for item in ordered:
        if kind_of(item) == Receipt.TYPE:
            try:
                receipt = Receipt.from_item(item)
            except InvalidItem as error:
                note_skipped(error)
                skipped.append(error)
            else:
                receipts[receipt.receipt_id] = ReceiptDetails(receipt, [], [], [], [])
    for item in ordered:
        if kind_of(item) in _PARTS:
            _file(item, receipts)
    return ResultPage(list(receipts.values()), None, skipped)


def kind_of(item: Item) -> str:
    """Return what an item of an image says that it is or, where it does not, what its key says."""
    if "TYPE" in item:
        return type_of(item)
    return next((kind for kind in (Receipt.TYPE, *_PARTS) if fits_key(item, kind)), "")


_PARTS: dict[str, tuple[type[ReceiptLine | ReceiptWord | ReceiptWordLabel], str]] = {
    ReceiptLine.TYPE: (ReceiptLine, "lines"),
    ReceiptWord.TYPE: (ReceiptWord, "words"),
    ReceiptWordLabel.TYPE: (ReceiptWordLabel, "labels"),
}


def _file(item: Item, receipts: dict[int, ReceiptDetails]) -> None:
    details = receipts.get(_receipt_id(item))
    if details is None:
        return
    kind, chosen = _PARTS[kind_of(item)]
    try:
        getattr(details, chosen).append(kind.from_item(item))
    except InvalidItem as error:
        note_skipped(error)
        details.unreadable.append(error)


def _receipt_id(item: Item) -> int:
    """Receipt id from the sort key of a malformed item; -1 if the key holds no number."""
    _, _, rest = item["SK"]["S"].partition("#")
    number = rest.partition("#")[0]
    return int(number) if number.isdecimal() else -1


def _receipt_key(item: Item) -> ReceiptKey:
    fields = fields_of(item, Receipt.TYPE, "PK", "SK")
    return ReceiptKey(str(fields["image_id"]), int(fields["receipt_id"]))


def _label_of(item: Item) -> str:
    return str(fields_of(item, ReceiptWordLabel.TYPE, "SK")["label"])


def _as_is(item: Item) -> Item:
    return item
