"""CloudWatch embedded metrics from log lines."""

from __future__ import annotations

import math
import time
from typing import Any

from structlog.typing import EventDict, WrappedLogger

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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
