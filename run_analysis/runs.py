"""Lists runs from Job records, one summary each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job
from receipt_dynamo.entities.field_types import JobState
from run_records.lenient_model import LenientModel
from run_records.scores import Interval

ALL_STATES: tuple[JobState, ...] = (
    "pending",
    "running",
    "interrupted",
    "succeeded",
    "failed",
    "cancelled",
)
PAGE = 50
RECENT = 500
"""So many of the newest runs are judged unless more are asked for: reading thousands takes seconds."""

# What job_config holds beside the hyperparameters.
_NO_HYPERPARAMETERS = frozenset({"model", "use_spot", "auto_export", "quantize", "timeout"})
_EXPORT = ("auto_export", "quantize")


class RunSummary(LenientModel):
    """One run as its Job record tells it; a score or fact that is not known (yet) is None.

    Attributes:
        config: hyperparameters as they were asked for, by name.
        export: what was asked for its export: auto_export, quantize.
        best_f1: entity F1 of the best checkpoint on the validation receipts, argmax.
        train_runtime: seconds of training over all attempts.
        samples_per_second: windows that training took in, mean; memory_used, gpu_memory_used: peak bytes.
        cost_usd: what the machine cost for so long, where its price was given.
        metrics_comparable: whether its validation receipts were pinned.
        val_receipts_hash: of the validation receipts: runs of the same hash were scored on the same ones.
        run_s3_uri: folder of the run.
    """

    job_id: str
    name: str
    status: JobState
    created_at: str
    attempt: int | None = None
    error_message: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    export: dict[str, Any] = Field(default_factory=dict)
    run_s3_uri: str | None = None
    best_f1: float | None = None
    best_f1_interval: Interval | None = None
    best_f1_constrained: float | None = None
    best_epoch: float | None = None
    best_step: int | None = None
    epochs_trained: float | None = None
    early_stopping_triggered: bool | None = None
    train_runtime: float | None = None
    total_flos: float | None = None
    samples_per_second: float | None = None
    memory_used: int | None = None
    gpu_memory_used: int | None = None
    cost_usd: float | None = None
    num_labels: int | None = None
    label_list: tuple[str, ...] = ()
    train_receipts: int | None = None
    val_receipts: int | None = None
    metrics_comparable: bool | None = None
    comparability_reason: str | None = None
    val_keys_s3: str | None = None
    val_split_source: str | None = None
    val_receipts_hash: str | None = None
    best_checkpoint_s3_path: str | None = None
    coreml_bundle_s3_uri: str | None = None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Read a Job record."""
        known = {name: value for name, value in job.results.items() if value is not None}
        return cls.lenient(
            {
                **known,
                "job_id": job.job_id,
                "name": job.name,
                "status": job.status,
                "created_at": job.created_at,
                "attempt": job.attempt,
                "error_message": job.error_message,
                "tags": job.tags,
                "config": {
                    name: value for name, value in job.job_config.items() if name not in _NO_HYPERPARAMETERS
                },
                "export": {name: job.job_config[name] for name in _EXPORT if name in job.job_config},
                "run_s3_uri": run_place(job.storage),
            }
        )

    @property
    def validation(self) -> str | None:
        """Identity of the validation receipts: their hash, for older runs the pinned list, or None."""
        return self.val_receipts_hash or self.val_keys_s3

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it learns, without B- and I-."""
        return tuple(dict.fromkeys(tag.partition("-")[2] for tag in self.label_list if tag != "O"))


class RunPage(LenientModel):
    """Some runs, the newest first; `cursor` continues after the last one, None at the end."""

    runs: tuple[RunSummary, ...]
    cursor: str | None = None


def run_place(storage: Mapping[str, Any]) -> str | None:
    """The S3 folder of a run, with its slash, from Job.storage."""
    if not storage.get("bucket") or not storage.get("run_root_prefix"):
        return None
    return f"s3://{storage['bucket']}/{storage['run_root_prefix']}"


def list_runs(
    client: DynamoClient,
    *,
    statuses: Sequence[JobState] = ALL_STATES,
    limit: int | None = PAGE,
    cursor: str | None = None,
) -> RunPage:
    """Read runs, the newest first: one query of the index for each status.

    Args:
        client: the table.
        statuses: only runs of these.
        limit: so many at most; None reads all. Fewer come where the next has the last one's moment, and more
            where more than that were created at one moment, as by an import.
        cursor: that of the page before.
    """
    # One more shows whether there is anything after this page.
    jobs = client.list_newest_jobs(statuses, None if limit is None else limit + 1, before=cursor).items
    runs = tuple(map(RunSummary.of, jobs))
    if limit is not None and len(runs) > limit and runs[0].created_at == runs[-1].created_at:
        wider = list_runs(client, statuses=statuses, limit=2 * limit, cursor=cursor)
        same = sum(run.created_at == runs[0].created_at for run in wider.runs)
        return first_page(wider.runs, same) if same < len(wider.runs) else wider
    return first_page(runs, limit)


def first_page(runs: Sequence[RunSummary], limit: int | None) -> RunPage:
    """The first of some runs, the newest first, and where to go on if there are more.

    The next page goes on before a moment, so runs of one moment stay together where the limit allows it.
    """
    page = tuple(runs[:limit])
    rest = runs[len(page) :]
    if rest:
        page = tuple(run for run in page if run.created_at > rest[0].created_at) or page
    return RunPage(runs=page, cursor=page[-1].created_at if rest else None)


def find_run(client: DynamoClient, job: str) -> RunSummary:
    """Read the run of an id, or the newest of a name; raises NotFound."""
    return RunSummary.of(client.find_job(job))
