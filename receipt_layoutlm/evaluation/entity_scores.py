"""Entity counts by receipt, and F1, precision and recall from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from messages.fields import Message
from receipt_layoutlm.evaluation.decoding import Span, label_of, spans, strict_spans
from run_records.labels import OUTSIDE, OUTSIDE_ID, LabelSet
from run_records.scores import Confusion, LabelScores

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


class Scores(Message):
    """Scores of predictions on receipts.

    Attributes:
        f1, precision, recall: over all entities (micro average), as seqeval's default mode counts them.
        f1_strict: as its strict mode does with IOB2, which knows no entity that begins with I-.
        token_accuracy: share of words with the right tag.
        entity_prediction_rate, gold_entity_rate: share of words that were, and that should be, in an entity.
        per_label: one entry for each label of the run, zeros where it does not occur.
    """

    f1: float
    precision: float
    recall: float
    f1_strict: float
    token_accuracy: float
    entity_prediction_rate: float
    gold_entity_rate: float
    per_label: dict[str, LabelScores] = Field(default_factory=dict)


def score_tags(
    labels: LabelSet, gold: TagIds, predicted: TagIds, counts: EntityCounts | None = None
) -> Scores:
    """Score predicted tags against true ones; `counts` of the same tags need not be counted again."""
    counts = counts or count_entities(labels, gold, predicted)
    strict = count_entities(labels, gold, predicted, strict_spans)
    overall = score_counts(counts.total)
    true, said = _flatten(gold), _flatten(predicted)
    words = max(len(true), 1)
    return Scores(
        f1=overall.f1,
        precision=overall.precision,
        recall=overall.recall,
        f1_strict=score_counts(strict.total).f1,
        token_accuracy=int((true == said).sum()) / words,
        entity_prediction_rate=int((said != OUTSIDE_ID).sum()) / words,
        gold_entity_rate=int((true != OUTSIDE_ID).sum()) / words,
        per_label={name: score_counts(row) for name, row in zip(counts.names, counts.by_label, strict=True)},
    )


def score_counts(counts: Counts) -> LabelScores:
    """The scores of counts [3]."""
    f1, precision, recall = (float(value) for value in rate(counts))
    return LabelScores(f1=f1, precision=precision, recall=recall, support=int(counts[2]))


def confuse(labels: LabelSet, gold: TagIds, predicted: TagIds) -> Confusion:
    """The confusion matrix of words: predicted by true label; B- and I- of a label count as the same."""
    names = [OUTSIDE, *labels.names]
    columns = np.array([names.index(label_of(tag) or OUTSIDE) for tag in labels.tags])
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(table, (columns[_flatten(gold)], columns[_flatten(predicted)]), 1)
    return {
        true: {said: int(count) for said, count in zip(names, row, strict=True) if count}
        for true, row in zip(names, table, strict=True)
        if row.any()
    }


def _flatten(tags: TagIds) -> npt.NDArray[np.int64]:
    return np.array([tag for page in tags for tag in page], dtype=np.int64)
