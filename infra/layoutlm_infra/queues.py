"""The queues with their dead-letter queues, by the attributes of `workers/sqs/queue_definitions.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from workers.sqs.queue_definitions import QUEUES, QueueSpec

_ARGUMENTS = {
    "VisibilityTimeout": "visibility_timeout_seconds",
    "MessageRetentionPeriod": "message_retention_seconds",
    "ReceiveMessageWaitTimeSeconds": "receive_wait_time_seconds",
    "RedrivePolicy": "redrive_policy",
}
"""SQS's attributes and what the provider calls them; one that is missing here stops the deployment."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its dead-letter queue."""

    spec: QueueSpec
    main: aws.sqs.Queue
    dead: aws.sqs.Queue


def make_queues() -> dict[str, Queue]:
    """Make all of them; by name."""
    return {spec.name: _make(spec) for spec in QUEUES}


def queue_environment(queues: Mapping[str, Queue]) -> dict[str, pulumi.Output[str]]:
    """The environment variables that carry their URLs."""
    return {queue.spec.variable: queue.main.url for queue in queues.values()}


def _make(spec: QueueSpec) -> Queue:
    dead = _queue(spec.dead_letter_name, spec.dead_letter_attributes)
    attributes = spec.attributes("")
    attributes["RedrivePolicy"] = dead.arn.apply(lambda arn: spec.attributes(arn)["RedrivePolicy"])
    return Queue(spec, _queue(spec.name, attributes), dead)


def _queue(name: str, attributes: Mapping[str, pulumi.Input[str]]) -> aws.sqs.Queue:
    given = {_ARGUMENTS[attribute]: _number(value) for attribute, value in attributes.items()}
    return aws.sqs.Queue(name, name=name, sqs_managed_sse_enabled=True, **given)


def _number(value: pulumi.Input[str]) -> pulumi.Input[str] | int:
    return int(value) if isinstance(value, str) and value.isdigit() else value
