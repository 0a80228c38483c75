"""The CloudWatch alarms; each description gives the reason and the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws

from infra.layoutlm_infra.metrics import (
    MINUTE,
    ON_DEMAND_GROUP,
    SPOT_GROUP,
    Metric,
    gpu_use,
    oldest,
    queue_metric,
    visible,
)
from infra.layoutlm_infra.scaling import HOSTS, JOBS, inputs
from workers.settings import Settings
from workers.sqs.queue_definitions import QUEUES

LATE_SECONDS: Mapping[str, int] = {
    "layoutlm-train-jobs": 3600,
    "layoutlm-train-results": 24 * 3600,
    "coreml-export-jobs": 12 * 3600,
    "coreml-export-results": 900,
}
"""How old a queue's oldest message may be. A GPU boots within the hour; a Mac may sleep through a night; a
Lambda takes results at once, and train results wait for whoever asks."""
IDLE_GPU_PERCENT = 5
IDLE_GPU_MINUTES = 45
"""Longer than a worker stays without a job before it ends its host, and than a large table takes to load."""

_NO_PULSE = "(FILL(received, 0) + FILL(empty, 0) + FILL(in_flight, 0)) == 0"
_ALL_REST = f"(FILL(most_spot, 0) + FILL(most_on_demand, 0)) < {IDLE_GPU_PERCENT}"
SILENT = f"IF({HOSTS} > 0 AND {_ALL_REST} AND {_NO_PULSE}, 1, 0)"
"""1 while there are hosts and none of them polls, has a message or uses its GPU. A worker that waits polls
every 20 seconds; one that works has a message, or, after 11 hours, at least a busy GPU. One silent host among
others shows by its idle GPU."""
_ONE_RESTS = [
    f"(FILL({group}, 0) > 0 AND FILL(least_{group}, 0) < {IDLE_GPU_PERCENT})"
    for group in ("spot", "on_demand")
]
IDLE_GPU = f"IF({' OR '.join(_ONE_RESTS)}, 1, 0)"
"""1 while the least busy GPU of a group does nothing, or says nothing."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """When somebody is told what.

    Attributes:
        metric: a number by itself; or
        expression: one that stands for several.
        above: alarms above this.
        minutes: that it has to be so.
    """

    name: str
    says: str
    above: float
    minutes: int
    metric: Metric | None = None
    expression: str = ""


def alarms(functions: Sequence[str]) -> list[Alarm]:
    """All of them, for these Lambda functions."""
    return [*_queue_alarms(), *_fleet_alarms(), *(_function_alarm(name) for name in functions)]


def make_alarms(functions: Sequence[str], topic: str) -> None:
    """Make them, all writing to the topic."""
    for alarm in alarms(functions):
        aws.cloudwatch.MetricAlarm(
            alarm.name,
            name=f"layoutlm-{alarm.name}",
            alarm_description=alarm.says,
            comparison_operator="GreaterThanThreshold",
            threshold=alarm.above,
            evaluation_periods=alarm.minutes,
            treat_missing_data="notBreaching",
            alarm_actions=[topic],
            ok_actions=[topic],
            **_source(alarm),
        )


def _queue_alarms() -> list[Alarm]:
    late = [
        Alarm(
            f"{spec.name}-late",
            "A message has waited too long: look at the workers, or whoever reads the results.",
            above=LATE_SECONDS[spec.name],
            minutes=5,
            metric=oldest(spec.name),
        )
        for spec in QUEUES
    ]
    dead = [
        Alarm(
            f"{spec.dead_letter_name}-filled",
            "A message could not be read: `layoutlm-cli dlq list` says why.",
            above=0,
            minutes=1,
            metric=visible(spec.dead_letter_name),
        )
        for spec in QUEUES
    ]
    return late + dead


def _fleet_alarms() -> list[Alarm]:
    silent_minutes = round(Settings.from_environ({}).poll_seconds / MINUTE) + 10
    return [
        Alarm(
            "silent-hosts",
            "Hosts run and no worker gives a sign of life: look at their log streams, then terminate them.",
            above=0,
            minutes=silent_minutes,
            expression=SILENT,
        ),
        Alarm(
            "idle-gpu",
            "A GPU is paid for and does nothing: `layoutlm-cli jobs` says what its worker should be doing.",
            above=0,
            minutes=IDLE_GPU_MINUTES,
            expression=IDLE_GPU,
        ),
    ]


def _function_alarm(function: str) -> Alarm:
    return Alarm(
        f"{function}-errors",
        f"The Lambda {function} failed: its log says why.",
        above=0,
        minutes=1,
        metric=Metric("AWS/Lambda", "Errors", {"FunctionName": f"layoutlm-{function}"}, "Sum"),
    )


def _source(alarm: Alarm) -> dict[str, Any]:
    if alarm.metric is None:
        return {"metric_queries": _queries(alarm)}
    return {
        "namespace": alarm.metric.namespace,
        "metric_name": alarm.metric.name,
        "dimensions": dict(alarm.metric.dimensions),
        "statistic": alarm.metric.stat,
        "period": MINUTE,
    }


def _queries(alarm: Alarm) -> list[dict[str, Any]]:
    groups = {"spot": SPOT_GROUP, "on_demand": ON_DEMAND_GROUP}
    known = {
        **inputs(),
        "received": queue_metric("NumberOfMessagesReceived", JOBS, "Sum"),
        "empty": queue_metric("NumberOfEmptyReceives", JOBS, "Sum"),
        **{f"most_{name}": gpu_use(group, "Maximum") for name, group in groups.items()},
        **{f"least_{name}": gpu_use(group, "Minimum") for name, group in groups.items()},
    }
    found = [metric.alarm_query(name) for name, metric in known.items() if f"({name}," in alarm.expression]
    return [
        *found,
        {"id": "result", "expression": alarm.expression, "label": alarm.name, "return_data": True},
    ]
