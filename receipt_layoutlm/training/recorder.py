"""Writes the records of a running training: metrics and logs to the table, `run.json` to S3."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from messages.fields import S3Uri
from receipt_dynamo import AlreadyExists, DynamoClient
from receipt_dynamo.clock import now
from receipt_dynamo.entities import JobCheckpoint, JobLog, JobMetric
from receipt_layoutlm.checkpoint import Manifest
from run_records.epoch_record import EpochRecord
from run_records.epochs_json import EPOCHS_JSON, EpochsFile
from run_records.predictions_json import PREDICTIONS_JSON, PredictionsFile
from run_records.s3_store import S3Store
from run_records.scores import matrix_of

LOG_SOURCE = "receipt_layoutlm.trainer"
MAX_LOG_BYTES = 300_000
"""Largest log message, in bytes; DynamoDB accepts 400 KB for the whole item."""

_SUMMARY_EPOCHS = 5
# Metric name to (field of the epoch's record, unit).
_EPOCH_METRICS = {
    "val_f1": ("eval_f1", "ratio"),
    "val_precision": ("eval_precision", "ratio"),
    "val_recall": ("eval_recall", "ratio"),
    "val_f1_constrained": ("eval_f1_constrained", "ratio"),
    "val_f1_strict": ("eval_f1_strict", "ratio"),
    "eval_loss": ("eval_loss", "loss"),
    "train_loss": ("train_loss", "loss"),
    "learning_rate": ("learning_rate", "rate"),
    "grad_norm": ("grad_norm", "L2 norm"),
    "token_accuracy": ("token_accuracy", "ratio"),
    "entity_prediction_rate": ("entity_prediction_rate", "ratio"),
    "gold_entity_rate": ("gold_entity_rate", "ratio"),
    "train_runtime": ("train_runtime", "seconds"),
    "total_flos": ("total_flos", "flop"),
    "train_seconds": ("train_seconds", "seconds"),
    "data_seconds": ("data_seconds", "seconds"),
    "eval_seconds": ("eval_seconds", "seconds"),
    "samples_per_second": ("samples_per_second", "samples/s"),
    "steps_per_second": ("steps_per_second", "steps/s"),
    "tokens_per_second": ("tokens_per_second", "tokens/s"),
    "memory_used": ("memory_used", "bytes"),
    "gpu_memory_used": ("gpu_memory_used", "bytes"),
    "gpu_utilization": ("gpu_utilization", "percent"),
}
CONFUSION = "confusion_matrix"
_DATASET_UNITS = {
    "num_train_samples": "count",
    "num_val_samples": "count",
    "o_entity_ratio_train": "ratio",
    "o_entity_ratio_val": "ratio",
}


@dataclass(frozen=True, slots=True)
class _Moment:
    """`step` and `epoch` are None for what is of the whole run; the table takes whole epochs."""

    time: str
    step: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records one job's run.

    Attributes:
        client: the table.
        storage: S3.
        job_id: whose records they are.
        attempt: the lease's; every record carries it, so that one of an attempt that was given up shows.
        root: S3 folder of the run.
        description: what `run.json` says beside the epochs.
    """

    client: DynamoClient
    storage: S3Store
    job_id: str
    attempt: int
    root: str
    description: dict[str, Any]

    def record_start(self, counts: dict[str, float]) -> None:
        """Write the counts as metrics of the whole run, the log `run_config`, and `run.json`.

        What an attempt has left that died before its first checkpoint goes: this one begins anew.
        """
        if self.attempt > 1:
            self._discard_after(-1, *_DATASET_UNITS)
        at = _Moment(now())
        self.client.add_job_metrics(
            [self._metric(name, counts[name], unit, at) for name, unit in _DATASET_UNITS.items()]
        )
        self._log(self._configuration())
        self.write_run_json(())

    def record_epoch(self, history: Sequence[EpochRecord], *, is_best: bool) -> None:
        """Write the last evaluation's metrics in one batch, its line, and `run.json` with all of them."""
        self.client.add_job_metrics(self._epoch_metrics(history[-1]))
        self._log(_line_of(history[-1], is_best=is_best))
        self.write_run_json(history)

    def rewrite_epochs(self, history: Sequence[EpochRecord]) -> None:
        """Make the table say what a resumed run knows: the epochs after its checkpoint are now repeated."""
        self._discard_after(history[-1].global_step if history else 0)
        self.client.add_job_metrics([one for record in history for one in self._epoch_metrics(record)])
        self.write_run_json(history)

    def record_checkpoint(self, uri: str, manifest: Manifest, *, is_best: bool) -> None:
        """Write the record of an uploaded checkpoint; one that is the best takes that from the former one."""
        record = self._checkpoint(uri, manifest)
        if is_best:
            self.client.set_best_job_checkpoint(record)
            return
        with suppress(AlreadyExists):  # the answer to this process's first try was lost
            self.client.add_job_checkpoint(record)

    def restore_checkpoints(self, uri: str, manifest: Manifest, best_step: int | None) -> None:
        """Make up for an attempt that ended between upload and record: the resumed one, and which is best."""
        known = list(self.client.list_job_checkpoints(self.job_id).items)
        if all(one.step != manifest.step for one in known):
            self.record_checkpoint(uri, manifest, is_best=manifest.step == best_step)
            return
        best = [one for one in known if one.step == best_step]
        if best and [one for one in known if one.is_best] != best[-1:]:
            self.client.set_best_job_checkpoint(best[-1])

    def _checkpoint(self, uri: str, manifest: Manifest) -> JobCheckpoint:
        place = S3Uri.parse(uri)
        return JobCheckpoint(
            job_id=self.job_id,
            timestamp=now(),
            s3_bucket=place.bucket,
            s3_key=place.key,
            size_bytes=manifest.size_bytes,
            step=manifest.step,
            epoch=int(manifest.epoch),
            metrics=dict(manifest.metrics),
            attempt=self.attempt,
        )

    def record_summary(
        self, summary: dict[str, Any], history: Sequence[EpochRecord], best: EpochRecord
    ) -> None:
        """Write the log `run_summary`; a history too large for an item stays in `run.json` and is named."""
        # What was taken for what is of no use in a log, and the largest part of a record.
        message = {"type": "run_summary", **summary, "epoch_metrics": _dump(history, without={"confusion"})}
        if _is_too_large(message):
            last = history[-_SUMMARY_EPOCHS:]
            kept = last if best in last else (best, *last)
            message["epoch_metrics"] = _dump(kept, without={"confusion"})
            message["epoch_metrics_s3"] = f"{self.root}run.json"
        self._log(message)

    def write_run_json(self, history: Sequence[EpochRecord]) -> None:
        """Replace `run.json`; it is small, and so a run that is killed leaves its history."""
        body = {**self.description, "epoch_metrics": _dump(history)}
        self.storage.write(f"{self.root}run.json", json.dumps(body, indent=2).encode())

    def write_epochs_json(self, document: EpochsFile) -> None:
        """Write `epochs.json`, which a later `eval-checkpoints` replaces."""
        self.storage.write(f"{self.root}{EPOCHS_JSON}", document.model_dump_json(indent=2).encode())

    def write_predictions(self, predictions: PredictionsFile) -> None:
        """Replace `predictions.json` by what the best epoch so far says."""
        self.storage.write(f"{self.root}{PREDICTIONS_JSON}", predictions.model_dump_json().encode())

    def record_fault(self, message: str) -> None:
        """Write a line about what went wrong beside the training."""
        self._log(message, "ERROR")

    def _configuration(self) -> dict[str, Any]:
        message = {"type": "run_config", "data": self.description}
        if not _is_too_large(message):
            return message
        split = self.description.get("split_metadata", {})
        kept = {name: value for name, value in split.items() if not isinstance(value, list)}
        kept["val_receipt_keys_s3"] = f"{self.root}run.json"
        return {**message, "data": {**self.description, "split_metadata": kept}}

    def _discard_after(self, step: int, *names: str) -> None:
        for metric in self.client.list_job_metrics(self.job_id).items:
            if metric.metric_name in names or (metric.step is not None and metric.step > step):
                self.client.delete_job_metric(metric)

    def _epoch_metrics(self, record: EpochRecord) -> list[JobMetric]:
        at = _Moment(record.recorded_at, record.global_step, int(record.epoch))
        overall = [
            self._metric(name, value, unit, at)
            for name, (field, unit) in _EPOCH_METRICS.items()
            if (value := getattr(record, field)) is not None
        ]
        merchants = [
            self._metric(f"val_f1_{name}", scores.f1, "ratio", at)
            for name, scores in record.by_merchant.items()
        ]
        matrix = matrix_of(record.confusion)
        confusion = [self._metric(CONFUSION, matrix, "matrix", at)] if record.confusion else []
        return [
            *overall,
            *merchants,
            *confusion,
            *(
                self._metric(f"label_{name}", scores.model_dump(), "per_label", at)
                for name, scores in record.per_label_metrics.items()
            ),
        ]

    def _metric(self, name: str, value: float | dict[str, Any], unit: str, at: _Moment) -> JobMetric:
        return JobMetric(
            job_id=self.job_id,
            metric_name=name,
            timestamp=at.time,
            value=value,
            unit=unit,
            step=at.step,
            epoch=at.epoch,
            attempt=self.attempt,
        )

    def _log(self, message: dict[str, Any] | str, level: str = "INFO") -> None:
        record = JobLog(
            job_id=self.job_id,
            timestamp=now(),
            log_level=level,
            message=message if isinstance(message, str) else json.dumps(message),
            source=LOG_SOURCE,
            attempt=self.attempt,
        )
        with suppress(AlreadyExists):  # the answer to this process's first try was lost
            self.client.add_job_log(record)


def _line_of(record: EpochRecord, *, is_best: bool) -> str:
    return (
        f"epoch {record.epoch:.4g}, step {record.global_step}: F1 {record.eval_f1:.4f}{' (best)' * is_best}, "
        f"precision {record.eval_precision:.4f}, recall {record.eval_recall:.4f}, "
        f"validation loss {record.eval_loss:.4f}, training loss {record.train_loss:.4f}"
    )


def _dump(history: Sequence[EpochRecord], without: set[str] | None = None) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json", exclude=without) for record in history]


def _is_too_large(message: dict[str, Any]) -> bool:
    return len(json.dumps(message)) > MAX_LOG_BYTES
