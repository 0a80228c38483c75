"""Counts the table's receipts into `DatasetStatistics`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from receipt_dynamo import DynamoClient, ReceiptDetails
from receipt_dynamo.entities import ReceiptWord, ReceiptWordLabel
from receipt_layoutlm.data.merchants import merchant_of
from receipt_layoutlm.data.record_parser import VALID, LoadStatistics, build_receipt
from run_analysis.dataset_statistics import (
    DatasetStatistics,
    LabelConflict,
    LabelStatistics,
    MerchantStatistics,
)
from run_records.labels import CORE_LABELS
from run_records.parallel import THREADS, map_ahead

EXAMPLES = 20
"""Most words with conflicting labels that are named."""


def read_statistics(
    client: DynamoClient, on_image: Callable[[int, int], None] | None = None, threads: int = THREADS
) -> DatasetStatistics:
    """Count the receipts of the table: one partition query an image, several at a time.

    Args:
        client: the table.
        on_image: told images read and images in all.
        threads: images read at a time.
    """
    before = client.request_count
    images = sorted({key.image_id for key in client.list_receipt_keys().items})
    tally = _Tally(images=len(images))
    for done, found in enumerate(map_ahead(client.get_image_receipts, images, threads), start=1):
        tally.loaded.receipts_unreadable += len(found.skipped)
        for details in found.items:
            tally.add(details)
        if on_image:
            on_image(done, len(images))
    return tally.statistics(client.request_count - before)


@dataclass(slots=True)
class _LabelTally:
    by_status: Counter[str] = field(default_factory=Counter)
    words: int = 0
    entities: int = 0
    receipts: int = 0
    merchants: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Tally:
    """Counts as receipts come; no receipt is kept."""

    images: int = 0
    receipts: int = 0
    labelled: int = 0
    lines: int = 0
    words: int = 0
    words_labelled: int = 0
    labels: dict[str, _LabelTally] = field(default_factory=lambda: defaultdict(_LabelTally))
    merchants: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unknown_merchant: int = 0
    conflicts: list[LabelConflict] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    loaded: LoadStatistics = field(default_factory=LoadStatistics)

    def add(self, details: ReceiptDetails) -> None:
        """Count one receipt."""
        self.receipts += 1
        self.lines += len(details.lines)
        self.words += len(details.words)
        for word in details.words:
            self._look_at(word)
        for label in details.labels:
            self.labels[label.label].by_status[label.validation_status] += 1
        receipt = build_receipt(details, self.loaded)
        self._note_conflicts(receipt.key, details)
        names = [word.label for word in receipt.words]
        if any(names):
            self._count_labels(names, merchant_of(receipt))

    def statistics(self, requests: int) -> DatasetStatistics:
        """The statistics counted so far."""
        core = {name: one for name, one in self.labels.items() if name in CORE_LABELS}
        total = sum(one.words for one in self.labels.values())
        frequent = [one.words for one in core.values() if one.words]
        return DatasetStatistics(
            images=self.images,
            receipts=self.receipts,
            receipts_labelled=self.labelled,
            lines=self.lines,
            words=self.words,
            words_labelled=self.words_labelled,
            labels=_describe_labels(core, total),
            imbalance=max(frequent) / min(frequent) if len(frequent) > 1 else None,
            labels_unknown={
                name: sum(one.by_status.values())
                for name, one in sorted(self.labels.items())
                if name not in CORE_LABELS
            },
            merchants=_describe_merchants(self.merchants),
            merchants_known=len(self.merchants),
            receipts_without_merchant=self.unknown_merchant,
            words_in_conflict=self.loaded.words_with_several_valid_labels,
            conflicts=tuple(self.conflicts),
            labels_without_word=self.loaded.labels_without_word,
            **self.faults,
            boxes_without_area=self.loaded.boxes_without_area,
            boxes_inverted=self.loaded.boxes_inverted,
            records_unreadable=self.loaded.records_unreadable,
            receipts_unreadable=self.loaded.receipts_unreadable,
            requests=requests,
        )

    def _look_at(self, word: ReceiptWord) -> None:
        self.faults["words_without_text"] += not word.text.strip()
        corners = (word.top_left, word.top_right, word.bottom_left, word.bottom_right)
        edges = [point[axis] for point in corners for axis in ("x", "y")]
        if all(map(math.isfinite, edges)):
            self.faults["boxes_out_of_range"] += not all(0 <= edge <= 1 for edge in edges)
        else:
            self.faults["words_without_box"] += 1

    def _note_conflicts(self, receipt: str, details: ReceiptDetails) -> None:
        if len(self.conflicts) >= EXAMPLES:
            return
        texts = {(word.line_id, word.word_id): word.text for word in details.words}
        by_word: dict[tuple[int, int], list[ReceiptWordLabel]] = defaultdict(list)
        for label in details.labels:
            if label.validation_status == VALID:
                by_word[label.line_id, label.word_id].append(label)
        for (line, word), found in sorted(by_word.items()):
            if len(found) > 1 and len(self.conflicts) < EXAMPLES:
                newest = sorted(found, key=lambda one: one.label)
                newest.sort(key=lambda one: one.timestamp_added, reverse=True)
                self.conflicts.append(
                    LabelConflict(
                        receipt=receipt,
                        line_id=line,
                        word_id=word,
                        text=texts.get((line, word), ""),
                        labels=tuple(one.label for one in newest),
                    )
                )

    def _count_labels(self, names: Sequence[str | None], merchant: str | None) -> None:
        self.labelled += 1
        counts = Counter(name for name in names if name)
        self.words_labelled += counts.total()
        for name, count in counts.items():
            one = self.labels[name]
            one.words += count
            one.receipts += 1
            if merchant:
                one.merchants.add(merchant)
        for label, _ in groupby(names):
            if label:
                self.labels[label].entities += 1
        if merchant:
            self.merchants[merchant].update(receipts=1, words=counts.total())
        else:
            self.unknown_merchant += 1


def _describe_labels(tallies: dict[str, _LabelTally], total: int) -> tuple[LabelStatistics, ...]:
    found = [
        LabelStatistics(
            label=name,
            by_status=dict(sorted(one.by_status.items())),
            words=one.words,
            entities=one.entities,
            receipts=one.receipts,
            merchants=len(one.merchants),
            share=one.words / total if total else 0.0,
        )
        for name, one in tallies.items()
    ]
    absent = [LabelStatistics(label=name) for name in CORE_LABELS if name not in tallies]
    return (*sorted(found, key=lambda one: (-one.words, one.label)), *absent)


def _describe_merchants(merchants: dict[str, Counter[str]]) -> tuple[MerchantStatistics, ...]:
    by_size: Iterable[tuple[str, Counter[str]]] = sorted(
        merchants.items(), key=lambda one: (-one[1]["receipts"], one[0])
    )
    return tuple(
        MerchantStatistics(merchant=name, receipts=one["receipts"], labelled_words=one["words"])
        for name, one in by_size
    )
