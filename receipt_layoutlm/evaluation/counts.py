"""Entities counted receipt by receipt; every score of entities is a ratio of sums of these counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from receipt_layoutlm.evaluation.decode import Span, spans
from run_records.labels import LabelSet

TagIds = Sequence[Sequence[int]]
"""Tag ids of words in reading order, receipt by receipt."""

Counts = npt.NDArray[np.int64]
"""[..., 3]: entities that were found and are true, that were found, and that are true."""

Ratios = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """Entities of some receipts.

    Attributes:
        names: labels, in the order of the second axis.
        values: counts [receipts, labels, 3].
    """

    names: tuple[str, ...]
    values: Counts

    @property
    def by_receipt(self) -> Counts:
        """Counts of all labels together, [receipts, 3]."""
        summed: Counts = self.values.sum(axis=1)
        return summed

    @property
    def by_label(self) -> Counts:
        """Counts of all receipts together, [labels, 3]."""
        summed: Counts = self.values.sum(axis=0)
        return summed

    @property
    def total(self) -> Counts:
        """Counts of everything, [3]."""
        summed: Counts = self.values.sum(axis=(0, 1))
        return summed

    def of(self, receipts: Sequence[int]) -> EntityCounts:
        """The counts of some receipts only, by their indexes."""
        return EntityCounts(self.names, self.values[np.array(receipts, dtype=np.int64)])

    def of_label(self, name: str) -> EntityCounts:
        """The counts of one label only."""
        column = self.names.index(name)
        return EntityCounts((name,), self.values[:, column : column + 1])


def count_entities(
    labels: LabelSet,
    gold: TagIds,
    predicted: TagIds,
    find: Callable[[Sequence[str]], list[Span]] = spans,
) -> EntityCounts:
    """Count entities; one is found when its label and all its words are right.

    Args:
        labels: of the run.
        gold: what is true.
        predicted: what a model says.
        find: reads entities out of tags, as seqeval's default mode (`spans`) or strict mode (`strict_spans`).
    """
    columns = {name: column for column, name in enumerate(labels.names)}
    values = np.zeros((len(gold), len(columns), 3), dtype=np.int64)
    for row, (true, said) in enumerate(zip(gold, predicted, strict=True)):
        expected, found = (set(find([labels.tags[tag] for tag in tags])) for tags in (true, said))
        for kind, entities in enumerate((expected & found, found, expected)):
            for label, _, _ in entities:
                values[row, columns[label], kind] += 1
    return EntityCounts(labels.names, values)


def rate(counts: Counts) -> tuple[Ratios, Ratios, Ratios]:
    """F1, precision and recall of counts [..., 3], each [...]; 0 where nothing can be divided.

    Computed in the order that seqeval does, so that the numbers are the same to the last bit.
    """
    correct, found, true = (counts[..., kind].astype(np.float64) for kind in range(3))
    precision = correct / np.where(found == 0, 1, found)
    recall = correct / np.where(true == 0, 1, true)
    both = precision + recall
    f1 = 2 * precision * recall / np.where(both == 0, 1, both)
    return f1, precision, recall
