"""Scores of tags against the true ones: of entities, as seqeval counts them, of words, and of labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from messages.fields import Message
from receipt_layoutlm.evaluation.counts import Counts, EntityCounts, TagIds, count_entities, rate
from receipt_layoutlm.evaluation.decode import label_of, strict_spans
from run_records.labels import OUTSIDE, OUTSIDE_ID, LabelSet
from run_records.scores import Confusion, LabelScores


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
    """Which label words were given, by their true one; B- and I- of a label count as the same."""
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
