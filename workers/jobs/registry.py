"""One row per kind of job: name, required settings, queue, handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workers.jobs.export import ExportHandler
from workers.jobs.training import TrainingHandler
from workers.settings import Settings

if TYPE_CHECKING:
    from workers.aws_clients import Aws


KindName = Literal["train", "export"]
NEEDS: dict[KindName, tuple[str, ...]] = {
    "train": (
        "table_name",
        "bucket",
        "train_job_queue_url",
        "train_results_queue_url",
        "export_job_queue_url",
    ),
    "export": ("table_name", "bucket", "export_job_queue_url", "export_results_queue_url"),
}
QUEUE_FIELD: dict[KindName, str] = {"train": "train_job_queue_url", "export": "export_job_queue_url"}


def make_kind(name: KindName, settings: Settings, aws: Aws, worker: str) -> Any:
    """The jobs of that name."""
    if name == "train":
        return TrainingHandler(settings, aws.table, aws.sqs, worker)
    return ExportHandler(settings, aws.table, aws.sqs)
