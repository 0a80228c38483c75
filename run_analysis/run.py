"""One run with its evaluations, data set, attempts, checkpoints and exports; the history of many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from messages.hyperparameters import Hyperparameters
from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job
from receipt_dynamo.entities.field_types import JobState
from run_analysis.job_records import (
    CheckpointFacts,
    ExportFacts,
    FailureFacts,
    LogFacts,
    StatusFacts,
    epochs_of_metrics,
)
from run_analysis.runs import ALL_STATES, RunSummary, list_runs
from run_records.epoch_record import EpochFacts, read_epochs
from run_records.lenient_model import LenientModel
from run_records.parallel import THREADS, map_ahead
from run_records.run_json import RUN_JSON
from run_records.s3_store import S3Store

LAST_LOGS = 20


class RunDetail(LenientModel):
    """Everything about one run.

    Attributes:
        run: its summary.
        config: hyperparameters as they were used: those of `run.json`, defaults included, else as asked for.
        epochs: its evaluations, in their order.
        dataset_counts: of receipts, samples and labels, as `run.json` has them.
        data_config: source and hash of the data set, and how receipts became examples.
        labels: what it learns.
        label_merges: label to the labels that are learned as it.
        machine: what it was trained on: device, gpu_name, gpu_memory_bytes, memory_bytes that
            the process could have, threads, usd_per_hour.
        num_val_receipts: how many receipts it was scored on; None where that is not recorded.
        statuses, failures, checkpoints, exports: oldest first.
        attempts: how many there were.
    """

    run: RunSummary
    config: dict[str, Any]
    epochs: tuple[EpochFacts, ...] = ()
    dataset_counts: dict[str, Any] = Field(default_factory=dict)
    data_config: dict[str, Any] = Field(default_factory=dict)
    labels: tuple[str, ...] = ()
    label_merges: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    num_val_receipts: int | None = None
    statuses: tuple[StatusFacts, ...] = ()
    failures: tuple[FailureFacts, ...] = ()
    checkpoints: tuple[CheckpointFacts, ...] = ()
    exports: tuple[ExportFacts, ...] = ()
    attempts: int | None = None

    @property
    def best(self) -> EpochFacts | None:
        """The evaluation that `best/` holds: the first with the best value of the run's checkpoint metric."""
        ranked = [(rank, epoch) for epoch in self.epochs if (rank := rank_of(epoch, self.metric)) is not None]
        return max(ranked, key=lambda one: one[0])[1] if ranked else None

    @property
    def metric(self) -> str:
        """What its best checkpoint is best at."""
        return str(self.option("checkpoint_metric"))

    def option(self, name: str) -> Any:
        """A hyperparameter as the run used it: where the record does not say, the default."""
        if name in self.config:
            return self.config[name]
        return Hyperparameters.model_fields[name].get_default(call_default_factory=True)


def rank_of(epoch: EpochFacts, metric: str) -> float | None:
    """The value of a checkpoint metric, turned so that larger is better; None where it was not recorded."""
    kind, _, names = metric.partition(":")
    if names:
        found = [epoch.per_label_metrics.get(name) for name in names.split(",")]
        known = [scores.f1 for scores in found if scores is not None]
        return sum(known) / len(found) if len(known) == len(found) else None
    value = {
        "f1": epoch.eval_f1,
        "precision": epoch.eval_precision,
        "recall": epoch.eval_recall,
        "accuracy": epoch.token_accuracy,
        "loss": None if epoch.eval_loss is None else -epoch.eval_loss,
    }
    return value.get(kind)


def read_run(client: DynamoClient, storage: S3Store, job: str) -> RunDetail:
    """Read one run, by id or name.

    Raises:
        NotFound: there is no such job.
        RunError: S3 cannot be read.
    """
    return describe_job(client, storage, client.find_job(job))


def describe_job(client: DynamoClient, storage: S3Store, job: Job) -> RunDetail:
    """Read what belongs to a job: its `run.json`, or without it its metrics; about six requests."""
    run = RunSummary.of(job)
    record = _read_run_json(storage, run)
    lease = client.find_lease(job.job_id, kind="train")
    epochs = _epochs(client, run, record)
    return RunDetail(
        run=run,
        config={**run.config, **_mapping(record, "training_config")},
        epochs=epochs,
        dataset_counts=_mapping(record, "dataset_counts"),
        data_config=_mapping(record, "data_config"),
        labels=_labels(record, run, epochs),
        label_merges=_mapping(record, "label_merges"),
        machine=_mapping(record, "machine"),
        num_val_receipts=_count_validation(record),
        statuses=tuple(map(StatusFacts.of, client.list_job_statuses(job.job_id).items)),
        failures=tuple(FailureFacts.model_validate(one) for one in lease.failures) if lease else (),
        checkpoints=tuple(map(CheckpointFacts.of, client.list_job_checkpoints(job.job_id).items)),
        exports=tuple(
            sorted(
                map(ExportFacts.of, client.get_coreml_export_jobs_for_job(job.job_id).items),
                key=lambda one: one.created_at,
            )
        ),
        attempts=lease.attempt if lease else job.attempt,
    )


def read_epochs_of(client: DynamoClient, storage: S3Store, run: RunSummary) -> tuple[EpochFacts, ...]:
    """Read the evaluations of a run: those of its `run.json`, or without it the table's."""
    return _epochs(client, run, _read_run_json(storage, run))


def read_last_logs(client: DynamoClient, job_id: str, limit: int = LAST_LOGS) -> tuple[LogFacts, ...]:
    """The last lines of a run's log, oldest first."""
    return tuple(map(LogFacts.of, client.list_last_job_logs(job_id, limit).items))


def _read_run_json(storage: S3Store, run: RunSummary) -> dict[str, Any]:
    if run.run_s3_uri is None:
        return {}
    body = storage.read(f"{run.run_s3_uri}{RUN_JSON}")
    try:
        record = json.loads(body or b"{}")
    except ValueError:  # not ours, or cut off: the table still has the run
        return {}
    return record if isinstance(record, dict) else {}


def _epochs(client: DynamoClient, run: RunSummary, record: Mapping[str, Any]) -> tuple[EpochFacts, ...]:
    entries = record.get("epoch_metrics")
    if isinstance(entries, list):
        return read_epochs(entry for entry in entries if isinstance(entry, Mapping))
    return epochs_of_metrics(client.list_job_metrics(run.job_id).items)


def _mapping(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _labels(record: Mapping[str, Any], run: RunSummary, epochs: Sequence[EpochFacts]) -> tuple[str, ...]:
    named = record.get("resulting_labels")
    if isinstance(named, list):
        return tuple(map(str, named))
    return run.labels or tuple(dict.fromkeys(name for epoch in epochs for name in epoch.per_label_metrics))


def _count_validation(record: Mapping[str, Any]) -> int | None:
    keys = _mapping(record, "split_metadata").get("val_receipt_keys")
    return len(keys) if isinstance(keys, list) else None


class RunHistory(LenientModel):
    """A run and its evaluations."""

    run: RunSummary
    epochs: tuple[EpochFacts, ...] = ()


class History(LenientModel):
    """Runs, the newest first; `cursor` continues after the last one, None at the end."""

    runs: tuple[RunHistory, ...]
    cursor: str | None = None


def read_history(
    client: DynamoClient,
    storage: S3Store,
    *,
    statuses: Sequence[JobState] = ALL_STATES,
    limit: int | None = None,
    cursor: str | None = None,
) -> History:
    """Read runs with their evaluations: a query for each status and page, and a `run.json` for each run.

    Args:
        client: the table.
        storage: S3.
        statuses: only runs of these.
        limit: so many at most; None reads all.
        cursor: that of the history before.
    """
    page = list_runs(client, statuses=statuses, limit=limit, cursor=cursor)
    epochs = map_ahead(lambda run: read_epochs_of(client, storage, run), page.runs, THREADS)
    return History(
        runs=tuple(RunHistory(run=run, epochs=found) for run, found in zip(page.runs, epochs, strict=True)),
        cursor=page.cursor,
    )
