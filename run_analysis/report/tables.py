"""The tables of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from run_analysis.job_records import CheckpointFacts, ExportFacts, FailureFacts
from run_analysis.report.formatting import NOT_KNOWN, anything, moment, number, score, seconds, size
from run_analysis.report.label_charts import NO_LABEL, OUTSIDE, confusion_names, labels_by_support
from run_analysis.report.timeline import Stretch, stretches_of
from run_analysis.run import RunDetail
from run_records.epoch_record import EpochFacts

T = TypeVar("T")
Columns = Mapping[str, Callable[[T], str]]
"""Title of a column to what it shows of a record."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; columns from `numbers_from` on hold numbers, which stand under each other."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers_from: int = 1


def tables_of(detail: RunDetail) -> dict[str, Table]:
    """The tables of a run by name; where nothing was recorded, one has no rows."""
    measured = [one for one in detail.epochs if one.samples_per_second or one.memory_used]
    return {
        "epochs": _table("Evaluations; losses in nats", _EPOCHS, detail.epochs, numbers_from=0),
        "labels": label_table(detail.best),
        "label_history": label_history_table(detail.epochs),
        "merchants": merchant_table(detail.best),
        "confusion": confusion_table(detail.best, detail.labels),
        "timeline": _table("Statuses; times in UTC", _STRETCHES, stretches_of(detail), numbers_from=4),
        "checkpoints": _table("Checkpoints", _CHECKPOINTS, detail.checkpoints, numbers_from=2),
        "failures": _table("Failed attempts", _FAILURES, detail.failures, numbers_from=4),
        "speed": _table("Speed and peak memory by epoch", _SPEED, measured, numbers_from=0),
        "exports": _table("CoreML exports", _EXPORTS, detail.exports, numbers_from=5),
    }


def label_table(best: EpochFacts | None) -> Table:
    """Scores of each label; without an entity to find, a zero would look like a failure."""
    scores = best.per_label_metrics if best else {}
    rows = tuple(
        (
            name,
            *(score(value if one.support else None) for value in (one.f1, one.precision, one.recall)),
            number(one.support),
        )
        for name, one in sorted(scores.items(), key=lambda item: (-item[1].support, item[0]))
    )
    return Table("Labels at the best epoch", ("label", "F1", "precision", "recall", "true entities"), rows)


def label_history_table(epochs: Sequence[EpochFacts]) -> Table:
    """F1 of each label at each evaluation."""
    names = labels_by_support(epochs)
    rows = tuple(
        (number(epoch.epoch), *(_f1_of(epoch, name) for name in names))
        for epoch in epochs
        if epoch.per_label_metrics
    )
    return Table("F1 of each label by epoch", ("epoch", *names), rows, numbers_from=0)


def merchant_table(best: EpochFacts | None) -> Table:
    """Scores by whether training had receipts of the merchant."""
    rows = tuple(
        (f"{name} in training", number(one.receipts), score(one.f1), score(one.f1_constrained))
        for name, one in (best.by_merchant.items() if best else ())
    )
    return Table("Merchants at the best epoch", ("merchants", "receipts", "F1", "F1, BIO allowed"), rows)


def confusion_table(best: EpochFacts | None, order: Sequence[str]) -> Table:
    """The confusion matrix with its counts, and with their share of the row."""
    names = confusion_names(best, order) if best else []
    matrix = best.confusion if best else {}
    shown = tuple(NO_LABEL if name == OUTSIDE else name for name in names)
    rows = tuple(
        (title, *(_share(matrix.get(name, {}), said) for said in names))
        for title, name in zip(shown, names, strict=True)
    )
    return Table("Words by true label (row) and predicted label (column)", ("true", *shown), rows)


def _table(caption: str, columns: Columns[T], records: Iterable[T], *, numbers_from: int) -> Table:
    rows = tuple(tuple(show(one) for show in columns.values()) for one in records)
    return Table(caption, tuple(columns), rows, numbers_from)


def _interval(one: EpochFacts) -> str:
    bounds = one.eval_f1_interval
    return NOT_KNOWN if bounds is None else f"{bounds.low:.3f} to {bounds.high:.3f}"


def _f1_of(epoch: EpochFacts, name: str) -> str:
    one = epoch.per_label_metrics.get(name)
    return score(one.f1 if one and one.support else None)


def _share(row: Mapping[str, int], said: str) -> str:
    count = row.get(said, 0)
    return f"{count:,} ({count / sum(row.values()):.0%})" if count else "0"


_EPOCHS: Columns[EpochFacts] = {
    "epoch": lambda one: number(one.epoch),
    "step": lambda one: number(one.global_step),
    "train loss": lambda one: number(one.train_loss),
    "val. loss": lambda one: number(one.eval_loss),
    "F1": lambda one: score(one.eval_f1),
    "95 % interval": _interval,
    "F1, BIO allowed": lambda one: score(one.eval_f1_constrained),
    "precision": lambda one: score(one.eval_precision),
    "recall": lambda one: score(one.eval_recall),
    "learning rate": lambda one: number(one.learning_rate),
    "gradient norm": lambda one: number(one.grad_norm),
}
_SPEED: Columns[EpochFacts] = {
    "epoch": lambda one: number(one.epoch),
    "windows/s": lambda one: number(one.samples_per_second),
    "steps/s": lambda one: number(one.steps_per_second),
    "tokens/s": lambda one: number(one.tokens_per_second),
    "training": lambda one: seconds(one.train_seconds),
    "waiting for data": lambda one: seconds(one.data_seconds),
    "scoring": lambda one: seconds(one.eval_seconds),
    "GPU memory": lambda one: size(one.gpu_memory_used),
    "process memory": lambda one: size(one.memory_used),
    "GPU busy": lambda one: NOT_KNOWN if one.gpu_utilization is None else f"{one.gpu_utilization:.0f} %",
}
_STRETCHES: Columns[Stretch] = {
    "attempt": lambda one: one.row,
    "status": lambda one: one.status,
    "worker": lambda one: anything(one.worker),
    "why": lambda one: anything(one.message),
    "from": lambda one: moment(one.begin),
    "for": lambda one: seconds(one.seconds or None),
}
_CHECKPOINTS: Columns[CheckpointFacts] = {
    "checkpoint": lambda one: one.s3_uri,
    "when written": lambda one: "best so far" if one.is_best else NOT_KNOWN,
    "epoch": lambda one: number(one.epoch),
    "step": lambda one: number(one.step),
    "size": lambda one: size(one.size_bytes),
    "at (UTC)": lambda one: moment(one.at),
}
_FAILURES: Columns[FailureFacts] = {
    "attempt": lambda one: number(one.attempt),
    "class": lambda one: one.error_class,
    "why": lambda one: one.message,
    "worker": lambda one: anything(one.worker),
    "at (UTC)": lambda one: moment(one.at),
}
_EXPORTS: Columns[ExportFacts] = {
    "export": lambda one: one.export_id,
    "status": lambda one: one.status,
    "weights": lambda one: one.quantize or "float32",
    "bundle": lambda one: anything(one.bundle_s3_uri),
    "error": lambda one: anything(one.error_message),
    "model size": lambda one: size(one.model_size_bytes),
    "asked for at (UTC)": lambda one: moment(one.created_at),
}
