"""Loads the receipts of the table in bounded memory."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from receipt_dynamo import DynamoClient
from receipt_dynamo.skipped import skipped_noted
from receipt_layoutlm.data.dataset_hash import count_labels, count_words
from receipt_layoutlm.data.load_checkpoint import LoadCheckpoint
from receipt_layoutlm.data.receipt_table import receipt_keys, store_receipts, take
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.record_parser import LoadStatistics, build_receipts
from run_records.errors import DataError
from run_records.parallel import THREADS, map_ahead

log = logging.getLogger(__name__)
IMAGES_PER_PART = 2000


@dataclass(frozen=True, slots=True)
class LoadedReceipts:
    """Receipts with at least one VALID label, sorted by key, and how they were come by."""

    receipts: Sequence[Receipt]
    statistics: LoadStatistics = field(default_factory=LoadStatistics)


def load_receipts(  # noqa: PLR0913 - what is read, and where it lies meanwhile
    client: DynamoClient,
    on_image: Callable[[int, int], None] | None = None,
    threads: int = THREADS,
    *,
    keys: Collection[str] | None = None,
    folder: Path | None = None,
    parts: LoadCheckpoint | None = None,
) -> LoadedReceipts:
    """Read the receipts of the table that have a VALID label.

    Args:
        client: the table.
        on_image: told images read and images in all.
        threads: images read at a time.
        keys: the only receipts to use; other images are not read.
        folder: where the receipts lie while they are used; by default the system's.
        parts: where an earlier attempt has left what it read, and this one leaves it for the next.

    Raises:
        DataError: no receipt has a VALID label, or none of `keys` is there.
    """
    requests_before = client.request_count
    reading = _Reading(client, _list_images(client, keys), threads, on_image, folder)
    receipts = reading.all() if parts is None else reading.all_in_parts(parts)
    with skipped_noted() as skipped:
        loaded = keep_labelled(receipts, reading.statistics, keys=keys, folder=folder)
    if skipped:
        log.warning("%s", skipped)
    loaded.statistics.requests = client.request_count - requests_before
    log.info("read the table with %d requests: %s", loaded.statistics.requests, loaded.statistics)
    return loaded


@dataclass(slots=True)
class _Reading:
    """Images in the order of their ids, which is that of their receipts' keys."""

    client: DynamoClient
    images: Sequence[str]
    threads: int
    on_image: Callable[[int, int], None] | None
    folder: Path | None
    statistics: LoadStatistics = field(default_factory=LoadStatistics)
    done: int = 0

    def all(self) -> Iterator[Receipt]:
        """The receipts of all images."""
        return self._read(self.images)

    def all_in_parts(self, parts: LoadCheckpoint) -> Iterator[Receipt]:
        """Receipts of the load checkpoint, then those of the images after it; these are added to it."""
        for part in parts.load(self.folder):
            self.statistics.become(part.statistics)
            self.done = bisect_right(self.images, part.last_image)
            yield from part.receipts
        while len(images := self.images[self.done : self.done + IMAGES_PER_PART]) == IMAGES_PER_PART:
            receipts = store_receipts(self._read(images), self.folder)
            parts.save(receipts, images[-1], self.statistics)
            yield from receipts
        yield from self._read(images)

    def _read(self, images: Sequence[str]) -> Iterator[Receipt]:
        for found in map_ahead(self.client.get_image_receipts, images, self.threads):
            yield from build_receipts(found, self.statistics)
            self.done += 1
            if self.on_image:
                self.on_image(self.done, len(self.images))


def keep_labelled(
    receipts: Iterable[Receipt],
    statistics: LoadStatistics,
    *,
    keys: Collection[str] | None = None,
    folder: Path | None = None,
) -> LoadedReceipts:
    """Put the receipts with at least one VALID label into a file as they come.

    Args:
        receipts: in the order of their keys.
        statistics: what becomes of them is counted there.
        keys: the only receipts to use.
        folder: where the file is made.

    Raises:
        DataError: there is none, or one comes twice.
    """
    wanted = None if keys is None else frozenset(keys)
    found: set[str] = set()

    def choose() -> Iterator[Receipt]:
        for receipt in receipts:
            if wanted is not None and receipt.key not in wanted:
                continue
            if receipt.key in found:
                raise _twice(receipt.key)
            found.add(receipt.key)
            if any(word.label for word in receipt.words):
                yield receipt

    kept = store_receipts(choose(), folder)
    statistics.receipts_without_valid_label = len(found) - len(kept)
    return _finish(kept, statistics, found, wanted)


def keep_listed(receipts: Sequence[Receipt], keys: Collection[str] | None = None) -> LoadedReceipts:
    """Receipts of a snapshot, which are labelled, or those of them that are listed.

    Args:
        receipts: in any order.
        keys: the only receipts to use.

    Raises:
        DataError: there is none, or one comes twice.
    """
    wanted = None if keys is None else frozenset(keys)
    places = {key: place for place, key in enumerate(receipt_keys(receipts))}
    if len(places) < len(receipts):
        counts = Counter(receipt_keys(receipts))
        raise _twice(next(key for key, count in counts.items() if count > 1))
    chosen = sorted(key for key in places if wanted is None or key in wanted)
    kept = take(receipts, [places[key] for key in chosen])
    return _finish(kept, LoadStatistics(), set(chosen), wanted)


def _list_images(client: DynamoClient, keys: Collection[str] | None) -> list[str]:
    if keys is not None:
        return sorted({key.partition("#")[0] for key in keys})
    return sorted({key.image_id for key in client.list_receipt_keys().items})


def _finish(
    kept: Sequence[Receipt], statistics: LoadStatistics, found: set[str], wanted: frozenset[str] | None
) -> LoadedReceipts:
    if wanted is not None:
        statistics.receipts_not_found = len(wanted - found)
        if not found:
            raise DataError(
                f"None of the {len(wanted)} listed receipts is there. Correct their keys, or read them from "
                "where they are."
            )
        if wanted - found:
            log.warning("%d of %d listed receipts are not there", len(wanted - found), len(wanted))
    if not count_labels(kept):
        raise DataError(
            f"None of {len(found)} receipts has a word label of status VALID. Validate labels in the table, "
            "or import labelled receipts."
        )
    statistics.receipts = len(kept)
    statistics.words = count_words(kept)
    return LoadedReceipts(kept, statistics)


def _twice(key: str) -> DataError:
    return DataError(f"The receipt {key} is there twice. Keep one of both where the receipts are read from.")
