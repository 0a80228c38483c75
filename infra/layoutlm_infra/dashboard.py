"""The CloudWatch dashboard: queue depths, hosts, GPU utilisation, and failures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.layoutlm_infra.metrics import (
    GROUPS,
    MINUTE,
    Metric,
    gpu_use,
    hosts,
    in_flight,
    oldest,
    visible,
    worker,
)
from workers.sqs.queue_definitions import QUEUES

NAME = "layoutlm"
_WIDTH = 12
_HEIGHT = 6


def make_dashboard(functions: Sequence[str], region: str) -> aws.cloudwatch.Dashboard:
    """Make it."""
    body = json.dumps(dashboard_body(functions, region))
    return aws.cloudwatch.Dashboard(
        "layoutlm", dashboard_name=NAME, dashboard_body=pulumi.Output.from_input(body)
    )


def dashboard_body(functions: Sequence[str], region: str) -> dict[str, Any]:
    """Its widgets, two in a row."""
    widgets = [
        {
            "type": "metric",
            "x": number % 2 * _WIDTH,
            "y": number // 2 * _HEIGHT,
            "width": _WIDTH,
            "height": _HEIGHT,
            "properties": {
                "title": title,
                "region": region,
                "period": MINUTE,
                "view": "timeSeries",
                "metrics": [metric.widget_row(label) for label, metric in lines.items()],
            },
        }
        for number, (title, lines) in enumerate(_graphs(functions).items())
    ]
    return {"widgets": widgets}


def _graphs(functions: Sequence[str]) -> Mapping[str, Mapping[str, Metric]]:
    names = [spec.name for spec in QUEUES]
    return {
        "Messages that wait": {name: visible(name) for name in names},
        "Messages that are worked on": {name: in_flight(name) for name in names},
        "Hosts in service": {group: hosts(group) for group in GROUPS},
        "Age of the oldest message (seconds)": {name: oldest(name) for name in names},
        "GPU use (percent)": {group: gpu_use(group, "Average") for group in GROUPS},
        "From message to worker (seconds)": {"longest": worker("queue_seconds", "Maximum")},
        "Jobs (seconds)": {stat: worker("job_seconds", stat) for stat in ("Average", "Maximum")},
        "What finished runs cost (USD)": {"sum": worker("cost_usd", "Sum")},
        "Renewals of leases that failed": {"sum": worker("beat_failures", "Sum")},
        "Dead letters": {spec.dead_letter_name: visible(spec.dead_letter_name) for spec in QUEUES},
        "Lambda errors": {
            name: Metric("AWS/Lambda", "Errors", {"FunctionName": f"layoutlm-{name}"}, "Sum")
            for name in functions
        },
    }
