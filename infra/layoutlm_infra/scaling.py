"""Scaling rules: no host without messages, one per message, on-demand hosts when Spot has none.

Scaling only adds hosts. A worker that has had no job for a while ends its own host, because only the worker
knows that it has none: the message of a run of more than 11 hours is no longer in the queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws

from infra.layoutlm_infra.fleet import Fleet
from infra.layoutlm_infra.metrics import GROUPS, Metric, hosts, in_flight, oldest, visible

JOBS = "layoutlm-train-jobs"
BOOT_SECONDS = 600
"""From launch to first poll, with room to spare: meanwhile a host counts as there, and no other is added."""
PATIENCE_SECONDS = 900
"""So long a message waits for Spot before a host on demand is paid for."""
MESSAGES_PER_HOST = 1

HOSTS = "(FILL(spot, 0) + FILL(on_demand, 0))"
BACKLOG_PER_HOST = f"(FILL(visible, 0) + FILL(in_flight, 0)) / IF({HOSTS} > 0, {HOSTS}, 1)"
"""Messages that wait or are worked on, by hosts in service; without any, the messages themselves."""
STARVED = f"IF({HOSTS} == 0 AND FILL(oldest, 0) > {PATIENCE_SECONDS}, 1, 0)"
"""1 while messages have waited that long, and no host is there."""
ASLEEP = "IF(FILL(spot, 0) == 0, FILL(visible, 0), 0)"
"""Messages that wait while there is no Spot host to divide them by: a multiple of nothing is nothing, so
target tracking does not leave zero."""


def inputs() -> dict[str, Metric]:
    """The metrics that the expressions name."""
    spot, on_demand = (hosts(group) for group in GROUPS)
    return {
        "visible": visible(JOBS),
        "in_flight": in_flight(JOBS),
        "oldest": oldest(JOBS),
        "spot": spot,
        "on_demand": on_demand,
    }


def make_scaling(fleet: Fleet) -> None:
    """Attach the three rules."""
    aws.autoscaling.Policy(
        "backlog",
        autoscaling_group_name=fleet.spot.name,
        policy_type="TargetTrackingScaling",
        estimated_instance_warmup=BOOT_SECONDS,
        target_tracking_configuration={
            "target_value": MESSAGES_PER_HOST,
            "disable_scale_in": True,
            "customized_metric_specification": {"metrics": _tracked(BACKLOG_PER_HOST)},
        },
    )
    _add_one_while(
        "wake", fleet.spot, Step(ASLEEP, periods=1, why="Messages wait and no Spot host is there.")
    )
    _add_one_while(
        "starved", fleet.on_demand, Step(STARVED, periods=3, why="Spot has had no host for a message.")
    )


@dataclass(frozen=True, slots=True)
class Step:
    """When to add a host.

    Attributes:
        expression: greater than 0 means yes.
        periods: minutes that it has to be so.
    """

    expression: str
    periods: int
    why: str


def queries(expression: str, query: str) -> list[dict[str, Any]]:
    """An alarm's queries: the metrics that an expression names, and itself as the result."""
    found = [metric.alarm_query(name) for name, metric in inputs().items() if name in expression]
    return [*found, {"id": query, "expression": expression, "label": query, "return_data": True}]


def _tracked(expression: str) -> Sequence[Mapping[str, Any]]:
    found = [metric.tracking_query(name) for name, metric in inputs().items() if name in expression]
    return [*found, {"id": "backlog", "expression": expression, "return_data": True}]


def _add_one_while(name: str, group: aws.autoscaling.Group, step: Step) -> None:
    policy = aws.autoscaling.Policy(
        name,
        autoscaling_group_name=group.name,
        policy_type="StepScaling",
        adjustment_type="ChangeInCapacity",
        estimated_instance_warmup=BOOT_SECONDS,
        metric_aggregation_type="Maximum",
        step_adjustments=[{"scaling_adjustment": 1, "metric_interval_lower_bound": "0"}],
    )
    aws.cloudwatch.MetricAlarm(
        name,
        name=f"layoutlm-{name}",
        alarm_description=step.why,
        comparison_operator="GreaterThanThreshold",
        threshold=0,
        evaluation_periods=step.periods,
        treat_missing_data="notBreaching",
        metric_queries=queries(step.expression, name),
        alarm_actions=[policy.arn],
    )
