"""Metrics of a claim, an attempt and a message, as fields of the log lines that report them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from messages.child_protocol import Trained
from workers.health import Work
from workers.runtime.outcome import AttemptResult
from workers.sqs.queue import Received


def measure_claim(message: Received, attempt: int, now: datetime) -> dict[str, float]:
    """Metrics of a claim: the attempt and, for the first one, the seconds that the message waited."""
    if message.sent_at is None or attempt > 1:
        return {"attempt": attempt}
    seconds = (now - message.sent_at).total_seconds()
    # The table's clock and SQS's may differ by more than a short wait.
    return {"attempt": attempt, "queue_seconds": round(max(seconds, 0.0), 3)}


def measure_message(message: Received, ending: str, seconds: float, work: Work | None) -> dict[str, Any]:
    """Metrics of one message: its outcome, its seconds, and its job and attempt if it has any."""
    job = {} if work is None else {"job_id": work.job_id, "attempt": work.attempt}
    ended = {"ending": ending, "receive_count": message.receive_count, "job_seconds": round(seconds, 3)}
    return {**job, **ended}


def measure_attempt(verdict: AttemptResult, attempt: int) -> dict[str, float]:
    """Durations of an attempt; with the cost of the whole run, in USD, if it is done and a price is known."""
    results = verdict.report.results if isinstance(verdict.report, Trained) else {}
    cost = results.get("cost_usd")
    measured = {"attempt_seconds": round(verdict.seconds, 3), "attempts": attempt}
    return measured if cost is None else {**measured, "cost_usd": cost}
