"""The evaluations of a run as it recorded them: from `run.json`, or from the table's metrics without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from receipt_dynamo.entities import JobMetric
from run_records.epoch_record import EpochFacts, read_epochs

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
