"""The evaluations of a run as it recorded them: from `run.json`, or from the table's metrics without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
from pydantic import Field

from receipt_dynamo.entities import JobMetric
from receipt_dynamo.entities.field_types import Timestamp
from receipt_layoutlm.analysis.runs import Bounds, Fact

# Metric of the table to field of an epoch's record; others have the same name in both.
_FIELDS = {
    "val_f1": "eval_f1",
    "val_precision": "eval_precision",
    "val_recall": "eval_recall",
    "val_f1_constrained": "eval_f1_constrained",
    "val_f1_strict": "eval_f1_strict",
}
_LABEL = "label_"
_CONFUSION = "confusion_matrix"


class LabelFacts(Fact):
    """Scores of one label; `support` counts its true entities among the validation receipts."""

    f1: float
    precision: float = 0.0
    recall: float = 0.0
    support: int = 0


class MerchantFacts(Fact):
    """Scores of the validation receipts whose merchants training has seen, or has not."""

    receipts: int = 0
    f1: float
    f1_constrained: float | None = None


class EpochFacts(Fact):
    """One evaluation. Scores are ratios, losses in nats; what was not recorded is None or empty.

    Attributes:
        epoch: passes over the training receipts so far; a fraction where it came within one.
        train_loss: mean over the optimisation steps since the evaluation before.
        learning_rate: of the last step.
        grad_norm: L2 norm of the last step's gradients, before clipping.
        per_label_metrics: label to its scores.
        by_merchant: `seen` and `unseen`.
        confusion: true label to the label that its words were given, to their count; `O` is none.
        train_seconds, data_seconds, eval_seconds: what training, waiting for batches, and scoring took.
        samples_per_second, steps_per_second, tokens_per_second: of the training.
        train_runtime: seconds of training so far, over all attempts.
        total_flos: floating point operations of the run so far.
        gpu_memory_used, memory_used: peak bytes of the accelerator, and of the process.
        gpu_utilization: per cent, mean.
    """

    epoch: float
    global_step: int = 0
    recorded_at: Timestamp | None = None
    attempt: int | None = None
    eval_loss: float | None = None
    eval_f1: float | None = None
    eval_precision: float | None = None
    eval_recall: float | None = None
    eval_f1_constrained: float | None = None
    eval_f1_strict: float | None = None
    eval_f1_interval: Bounds | None = None
    train_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    token_accuracy: float | None = None
    entity_prediction_rate: float | None = None
    gold_entity_rate: float | None = None
    per_label_metrics: dict[str, LabelFacts] = Field(default_factory=dict)
    by_merchant: dict[str, MerchantFacts] = Field(default_factory=dict)
    confusion: dict[str, dict[str, int]] = Field(default_factory=dict)
    train_seconds: float | None = None
    data_seconds: float | None = None
    eval_seconds: float | None = None
    samples_per_second: float | None = None
    steps_per_second: float | None = None
    tokens_per_second: float | None = None
    train_runtime: float | None = None
    total_flos: float | None = None
    gpu_memory_used: int | None = None
    gpu_utilization: float | None = None
    memory_used: int | None = None


def read_epochs(entries: Iterable[Mapping[str, Any]]) -> tuple[EpochFacts, ...]:
    """Read `epoch_metrics` of a `run.json`, whoever wrote it, in the order of their steps."""
    found = []
    for entry in entries:
        try:
            found.append(EpochFacts.lenient(entry))
        except pydantic.ValidationError:  # an entry that does not say of which epoch it is, is none
            continue
    return tuple(sorted(found, key=lambda one: (one.epoch, one.global_step)))


def epochs_of_metrics(metrics: Iterable[JobMetric]) -> tuple[EpochFacts, ...]:
    """Put the table's metrics of one run together: those of one epoch and step are one evaluation.

    Of several with one name, as an attempt leaves that was repeated, the newest counts. What is counted once
    for the run, at epoch 0, is no evaluation.
    """
    rows: dict[tuple[float, int], dict[str, Any]] = defaultdict(lambda: {"per_label_metrics": {}})
    for metric in sorted(metrics, key=lambda one: one.timestamp):
        if not metric.epoch:
            continue
        row = rows[metric.epoch, metric.step or 0]
        row |= {"recorded_at": metric.timestamp, "attempt": metric.attempt}
        name, value = metric.metric_name, metric.value
        if name.startswith(_LABEL) and isinstance(value, dict):
            row["per_label_metrics"][name.removeprefix(_LABEL)] = value
        elif name == _CONFUSION:
            row["confusion"] = value
        elif not isinstance(value, dict):
            row[_FIELDS.get(name, name)] = value
    return read_epochs({"epoch": epoch, "global_step": step, **row} for (epoch, step), row in rows.items())
