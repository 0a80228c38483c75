"""Names, retention and redrive policy of the queues."""

from __future__ import annotations

import json
from dataclasses import dataclass

from workers.settings import Settings

RETENTION_SECONDS = 10 * 24 * 3600
DEAD_LETTER_RETENTION_SECONDS = 14 * 24 * 3600
"""SQS's own limit, and longer than a queue's: a message that SQS itself moves keeps its age."""
MAX_RECEIVES = 1000
"""SQS's own limit. Attempts are counted in the lease, where a job that is held elsewhere or was interrupted
does not count; SQS's count is only the last net under a body that ends the worker before it can be read."""
MAX_RESULT_RECEIVES = 5
"""A reader writes a result down at once; one that it has failed on so often is for a person."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue and its dead-letter queue.

    Attributes:
        name: the queue's name.
        setting: the field of the settings with its URL.
        visibility_seconds: how long a received message stays hidden.
        max_receives: after so many SQS moves it to the dead-letter queue.
    """

    name: str
    setting: str
    visibility_seconds: int
    max_receives: int

    @property
    def dead_letter_name(self) -> str:
        """Name of its dead-letter queue."""
        return f"{self.name}-dlq"

    @property
    def variable(self) -> str:
        """The environment variable that carries its URL."""
        return str(Settings.model_fields[self.setting].alias)

    @property
    def dead_letter_attributes(self) -> dict[str, str]:
        """The attributes that CreateQueue takes for the dead-letter queue."""
        return {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_SECONDS)}

    def attributes(self, dead_letter_arn: str) -> dict[str, str]:
        """The attributes that CreateQueue takes."""
        redrive = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": self.max_receives}
        return {
            "VisibilityTimeout": str(self.visibility_seconds),
            "MessageRetentionPeriod": str(RETENTION_SECONDS),
            "ReceiveMessageWaitTimeSeconds": "20",
            "RedrivePolicy": json.dumps(redrive),
        }


QUEUES = (
    QueueSpec("layoutlm-train-jobs", "train_job_queue_url", 120, MAX_RECEIVES),
    QueueSpec("layoutlm-train-results", "train_results_queue_url", 30, MAX_RESULT_RECEIVES),
    QueueSpec("coreml-export-jobs", "export_job_queue_url", 120, MAX_RECEIVES),
    QueueSpec("coreml-export-results", "export_results_queue_url", 30, MAX_RESULT_RECEIVES),
)
TABLE_NAME = "ReceiptsTable"
BUCKET_NAME = "layoutlm-training"
