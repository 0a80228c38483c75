"""The metrics that scaling, alarms and the dashboard read, each defined once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.telemetry.emf_metrics import KIND, NAMESPACE

MINUTE = 60
SPOT_GROUP = "layoutlm-train-spot"
ON_DEMAND_GROUP = "layoutlm-train-on-demand"
GROUPS = (SPOT_GROUP, ON_DEMAND_GROUP)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch.

    Attributes:
        stat: what a period's values become: `Sum`, `Average`, `Maximum`.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    stat: str

    def alarm_query(self, query_id: str, seconds: int = MINUTE) -> dict[str, Any]:
        """As an input of an alarm's expression."""
        metric = {
            "namespace": self.namespace,
            "metric_name": self.name,
            "dimensions": dict(self.dimensions),
            "stat": self.stat,
            "period": seconds,
        }
        return {"id": query_id, "metric": metric}

    def tracking_query(self, query_id: str) -> dict[str, Any]:
        """As an input of a target tracking policy's expression."""
        metric = {
            "namespace": self.namespace,
            "metric_name": self.name,
            "dimensions": [{"name": name, "value": value} for name, value in self.dimensions.items()],
        }
        return {
            "id": query_id,
            "metric_stat": {"metric": metric, "stat": self.stat},
            "return_data": False,
        }

    def widget_row(self, label: str) -> list[Any]:
        """As a line of a dashboard's graph."""
        pairs = [part for pair in self.dimensions.items() for part in pair]
        return [self.namespace, self.name, *pairs, {"label": label, "stat": self.stat}]


def queue_metric(name: str, queue: str, stat: str = "Maximum") -> Metric:
    """A number that SQS counts."""
    return Metric("AWS/SQS", name, {"QueueName": queue}, stat)


def visible(queue: str) -> Metric:
    """Messages that wait."""
    return queue_metric("ApproximateNumberOfMessagesVisible", queue)


def in_flight(queue: str) -> Metric:
    """Messages that a worker has."""
    return queue_metric("ApproximateNumberOfMessagesNotVisible", queue)


def oldest(queue: str) -> Metric:
    """Seconds that the oldest message is old."""
    return queue_metric("ApproximateAgeOfOldestMessage", queue)


def hosts(group: str) -> Metric:
    """Hosts that run and are in service."""
    return Metric("AWS/AutoScaling", "GroupInServiceInstances", {"AutoScalingGroupName": group}, "Average")


def gpu_use(group: str, stat: str) -> Metric:
    """Percent of the time in which GPUs of the group did anything; the busiest one, or the least busy."""
    return Metric(NAMESPACE, "nvidia_smi_utilization_gpu", {"AutoScalingGroupName": group}, stat)


def worker(name: str, stat: str) -> Metric:
    """What train workers measure themselves; CloudWatch reads it out of their log."""
    return Metric(NAMESPACE, name, {KIND: "train"}, stat)
