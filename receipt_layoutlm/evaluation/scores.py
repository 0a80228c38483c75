"""Entity-level scores by seqeval, overall and per label, and the rates that explain them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field
from seqeval.metrics import classification_report

from messages.fields import Message
from receipt_layoutlm.labels import OUTSIDE_ID, LabelSet

TagIds = Sequence[Sequence[int]]
"""Tag ids of words in reading order, receipt by receipt."""


class LabelScores(Message):
    """Scores of one label; `support` counts its true entities."""

    f1: float
    precision: float
    recall: float
    support: int


class Scores(Message):
    """Scores of predictions on receipts.

    Attributes:
        f1, precision, recall: over all entities (micro average).
        token_accuracy: share of words with the right tag.
        entity_prediction_rate, gold_entity_rate: share of words that were, and that should be, in an entity.
        per_label: one entry for each label of the run, zeros where it does not occur.
    """

    f1: float
    precision: float
    recall: float
    token_accuracy: float
    entity_prediction_rate: float
    gold_entity_rate: float
    per_label: dict[str, LabelScores] = Field(default_factory=dict)


def score_tags(labels: LabelSet, gold: TagIds, predicted: TagIds) -> Scores:
    """Score predicted tags against true ones with seqeval in its default mode."""
    report = classification_report(
        [[labels.tags[tag] for tag in page] for page in gold],
        [[labels.tags[tag] for tag in page] for page in predicted],
        output_dict=True,
        zero_division=0,
    )
    overall = _label_scores(report.get("micro avg", {}))
    pairs = [
        pair for ours, theirs in zip(gold, predicted, strict=True) for pair in zip(ours, theirs, strict=True)
    ]
    words = max(len(pairs), 1)
    return Scores(
        f1=overall.f1,
        precision=overall.precision,
        recall=overall.recall,
        token_accuracy=sum(true == said for true, said in pairs) / words,
        entity_prediction_rate=sum(said != OUTSIDE_ID for _, said in pairs) / words,
        gold_entity_rate=sum(true != OUTSIDE_ID for true, _ in pairs) / words,
        per_label={name: _label_scores(report.get(name, {})) for name in labels.names},
    )


def _label_scores(entry: dict[str, float]) -> LabelScores:
    return LabelScores(
        f1=float(entry.get("f1-score", 0)),
        precision=float(entry.get("precision", 0)),
        recall=float(entry.get("recall", 0)),
        support=int(entry.get("support", 0)),
    )
