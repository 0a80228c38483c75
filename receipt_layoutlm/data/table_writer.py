"""Writes drafts to the table, and converts a draft to a `Receipt`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from math import atan2, degrees
from typing import Any, TypedDict, TypeVar
from uuid import UUID, uuid5

from receipt_dynamo import Image, ReceiptLine, ReceiptWord, ReceiptWordLabel, entities
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Record
from receipt_dynamo.entities.field_types import BoundingBox, Point
from receipt_layoutlm.data.page_layout import hull
from receipt_layoutlm.data.receipt_draft import DraftLine, DraftReceipt, DraftWord, PixelBox, corners
from receipt_layoutlm.data.receipts import Receipt, Word

# Never change it: it is what makes a second import overwrite the first.
NAMESPACE = UUID("6f3d2a3e-0f0b-5c55-9a61-7d8f3c1b2e40")
RECEIPT_ID = 1
NO_BUCKET = "none"
"""A draft comes without its image; the table asks for a place all the same."""
DECIMALS = 8
RECEIPTS_PER_CHUNK = 10

R = TypeVar("R", bound=Record)


class Placement(TypedDict):
    """The geometry that lines and words share: 0..1 on the receipt, origin bottom left."""

    bounding_box: BoundingBox
    top_left: Point
    top_right: Point
    bottom_left: Point
    bottom_right: Point
    angle_degrees: float
    angle_radians: float


def image_id_of(draft: DraftReceipt) -> str:
    """The same id for the same source and key, always."""
    return str(uuid5(NAMESPACE, f"{draft.source}/{draft.key}"))


def to_records(draft: DraftReceipt, timestamp: str | None = None) -> list[Record]:
    """The image, its one receipt, and the receipt's lines, words and labels; ids begin at 1.

    `timestamp` is ISO 8601 with microseconds and `+00:00`; by default the present moment.
    """
    added = timestamp or now()
    records: list[Record] = [_image(draft, added), _receipt(draft, added)]
    for line_id, line in enumerate(draft.lines, start=1):
        ids: dict[str, Any] = {"image_id": image_id_of(draft), "receipt_id": RECEIPT_ID, "line_id": line_id}
        records.append(ReceiptLine(**ids, **_text(line), **place(draft, line)))
        for word_id, word in enumerate(line.words, start=1):
            records += _word({**ids, "word_id": word_id}, draft, word, added)
    return records


def _word(ids: dict[str, Any], draft: DraftReceipt, word: DraftWord, added: str) -> Iterator[Record]:
    yield ReceiptWord(**ids, **_text(word), **place(draft, word))
    if word.label:
        yield ReceiptWordLabel(
            **ids,
            label=word.label,
            timestamp_added=added,
            validation_status="VALID",
            label_proposed_by=draft.labelled_by,
        )


def _stored(draft: DraftReceipt, added: str) -> dict[str, Any]:
    return {
        "image_id": image_id_of(draft),
        "width": draft.width,
        "height": draft.height,
        "timestamp_added": added,
        "raw_s3_bucket": NO_BUCKET,
        "raw_s3_key": f"{draft.source}/{draft.key}.jpg",
    }


def _image(draft: DraftReceipt, added: str) -> Image:
    return Image(**_stored(draft, added), image_type="SCAN", receipt_count=1)


def _receipt(draft: DraftReceipt, added: str) -> entities.Receipt:
    return entities.Receipt(
        **_stored(draft, added),
        receipt_id=RECEIPT_ID,
        top_left={"x": 0.0, "y": 1.0},
        top_right={"x": 1.0, "y": 1.0},
        bottom_left={"x": 0.0, "y": 0.0},
        bottom_right={"x": 1.0, "y": 0.0},
    )


def _text(part: DraftLine | DraftWord) -> dict[str, Any]:
    return {"text": part.text, "confidence": max(0.01, round(part.confidence, 2))}


def place(draft: DraftReceipt, part: DraftLine | DraftWord) -> Placement:
    """Pixels with the origin at the top left, as the table has them."""

    def point(x: float, y: float) -> Point:
        return {"x": round(x / draft.width, DECIMALS), "y": round(1 - y / draft.height, DECIMALS)}

    top_left, top_right, bottom_right, bottom_left = corners(part.box, part.quad)
    # Upwards is positive in the table and negative in pixels.
    angle = atan2(top_left[1] - top_right[1], top_right[0] - top_left[0])
    return {
        "bounding_box": _bounding_box(draft, part.box),
        "top_left": point(*top_left),
        "top_right": point(*top_right),
        "bottom_left": point(*bottom_left),
        "bottom_right": point(*bottom_right),
        "angle_degrees": round(degrees(angle), DECIMALS),
        "angle_radians": round(angle, DECIMALS),
    }


def _bounding_box(draft: DraftReceipt, box: PixelBox) -> BoundingBox:
    x0, y0, x1, y1 = box
    return {
        "x": round(x0 / draft.width, DECIMALS),
        "y": round(1 - y1 / draft.height, DECIMALS),
        "width": round((x1 - x0) / draft.width, DECIMALS),
        "height": round((y1 - y0) / draft.height, DECIMALS),
    }


def write_records(
    client: DynamoClient,
    drafts: Iterable[DraftReceipt],
    progress: Callable[[int], None] | None = None,
    *,
    timestamp: str | None = None,
    threads: int = 4,
) -> Counter[str]:
    """Write drafts to the table and return how many records of each kind that made.

    `progress` is told, in the calling thread, how many receipts have been written so far. After an error
    nothing new is begun; what was written stays, and a second import overwrites it with the same.

    Raises:
        DynamoError: The table or the network refused a batch.
    """
    added = timestamp or now()
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(threads) as pool:
        pending = [pool.submit(_write_chunk, client, chunk, added) for chunk in _chunks(drafts)]
        try:
            for written in as_completed(pending):
                counts += written.result()
                if progress:
                    progress(counts[entities.Receipt.TYPE])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return counts


def _chunks(drafts: Iterable[DraftReceipt]) -> Iterator[list[DraftReceipt]]:
    remaining = iter(drafts)
    while chunk := list(islice(remaining, RECEIPTS_PER_CHUNK)):
        yield chunk


def _write_chunk(client: DynamoClient, drafts: Sequence[DraftReceipt], added: str) -> Counter[str]:
    records = [record for draft in drafts for record in to_records(draft, added)]
    # Labels go last, so that a reader meets none whose word is not there yet.
    client.add_images(_of(Image, records))
    client.add_receipts(_of(entities.Receipt, records))
    client.add_receipt_lines(_of(ReceiptLine, records))
    client.add_receipt_words(_of(ReceiptWord, records))
    client.add_receipt_word_labels(_of(ReceiptWordLabel, records))
    return Counter(record.TYPE for record in records)


def _of(kind: type[R], records: Sequence[Record]) -> list[R]:
    return [record for record in records if isinstance(record, kind)]


def receipt_of(draft: DraftReceipt) -> Receipt:
    """The receipt with all its words and their labels."""
    words = tuple(
        _word_of(draft, word, line_id, word_id)
        for line_id, line in enumerate(draft.lines, start=1)
        for word_id, word in enumerate(line.words, start=1)
    )
    return Receipt(image_id_of(draft), RECEIPT_ID, words)


def _word_of(draft: DraftReceipt, word: DraftWord, line_id: int, word_id: int) -> Word:
    at = place(draft, word)
    points = (at["top_left"], at["top_right"], at["bottom_left"], at["bottom_right"])
    box = hull((point["x"], point["y"]) for point in points)
    return Word(line_id, word_id, word.text, box, word.label)
