"""Measurements for CloudWatch, taken from the log lines that say them: its embedded metric format.

A line that carries a field of UNITS becomes a metric by one more field, `_aws`, and stays the line it was.
CloudWatch reads both from one stream, so a metric never lacks its job and no agent has to be asked.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from structlog.typing import EventDict, WrappedLogger

from messages.child_protocol import Trained
from workers.verdict import Verdict

if TYPE_CHECKING:
    from workers.health import Work
    from workers.queue import Received

NAMESPACE = "ReceiptLayoutLM"
KIND = "worker_kind"
ENDING = "ending"

UNITS = {
    "queue_seconds": "Seconds",  # from the message's sending to the first claim of its job
    "job_seconds": "Seconds",  # from a message's receipt to its end; their count by ending is what was done
    "attempt_seconds": "Seconds",  # of the child
    "attempts": "Count",  # that a job has taken so far
    "idle_seconds": "Seconds",  # waited for one message
    "beat_failures": "Count",  # of the lease
    "samples_per_second": "Count/Second",
    "gpu_memory_used": "Bytes",
    "gpu_utilization": "Percent",
    "cost_usd": "None",  # of a run, all attempts; CloudWatch has no unit for money
}
"""Each field of a log line that is a metric, under its own name, with CloudWatch's unit."""


class EmbeddedMetrics:
    """A processor of structlog that makes metrics of the fields in UNITS.

    Dimensions are the worker's kind and, where a line says how something ended, the ending: names from short
    lists. What tells jobs apart stays a field, for each value of a dimension is a metric that is paid for.

    Args:
        kind: of the worker, train or export.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """The line, with `_aws` where it measures something."""
        found = [name for name in UNITS if _is_number(event.get(name))]
        if not found:
            return event
        dimensions = [[KIND], [KIND, ENDING]] if isinstance(event.get(ENDING), str) else [[KIND]]
        metrics = [{"Name": name, "Unit": UNITS[name]} for name in found]
        about = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}
        told = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [about]}
        return {**event, KIND: self._kind, "_aws": told}


def measure_claim(message: Received, attempt: int, now: datetime) -> dict[str, float]:
    """How long the message of a job waited for a worker; one that was claimed before waited for more."""
    if message.sent_at is None or attempt > 1:
        return {"attempt": attempt}
    seconds = (now - message.sent_at).total_seconds()
    # The table's clock and SQS's may differ by more than a short wait.
    return {"attempt": attempt, "queue_seconds": round(max(seconds, 0.0), 3)}


def measure_message(message: Received, ending: str, seconds: float, work: Work | None) -> dict[str, Any]:
    """How a message ended after so many seconds, and of which job and attempt it was, if of any."""
    job = {} if work is None else {"job_id": work.job_id, "attempt": work.attempt}
    ended = {"ending": ending, "receive_count": message.receive_count, "job_seconds": round(seconds, 3)}
    return {**job, **ended}


def measure_attempt(verdict: Verdict, attempt: int) -> dict[str, float]:
    """What an attempt took; with the cost of the whole run, in USD, where it is done and a price is known."""
    results = verdict.report.results if isinstance(verdict.report, Trained) else {}
    cost = results.get("cost_usd")
    measured = {"attempt_seconds": round(verdict.seconds, 3), "attempts": attempt}
    return measured if cost is None else {**measured, "cost_usd": cost}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
