"""IAM policies as data, held against recorded calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workers.telemetry.emf_metrics import NAMESPACE

EVERYTHING: Final = "*"
"""For actions of which AWS knows no resource; `NO_RESOURCE` names them all."""
NO_RESOURCE: Final = frozenset(
    {
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLifecycleHooks",
        "cloudwatch:PutMetricData",
        "ec2:DescribeTags",
        "ecr:GetAuthorizationToken",
    }
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions on places.

    Attributes:
        on: names of places, each perhaps with a suffix after a slash, as ARNs have them.
        condition: IAM's, where the place alone is too much.
    """

    actions: tuple[str, ...]
    on: tuple[str, ...]
    condition: Mapping[str, Mapping[str, str]] | None = None


def _actions(service: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names)


def _takes_from(queue: str) -> tuple[Grant, ...]:
    """A worker and its own queue; it sends to it what was lost, and buries what it cannot read."""
    taking = (
        "ReceiveMessage",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "SendMessage",
    )
    return (
        Grant(_actions("sqs", *taking), (queue,)),
        Grant(_actions("sqs", "GetQueueUrl", "SendMessage"), (f"{queue}-dlq",)),
    )


def _sends_to(queue: str) -> Grant:
    return Grant(_actions("sqs", "GetQueueAttributes", "SendMessage"), (queue,))


def _polled_from(queue: str) -> Grant:
    """What Lambda itself does in a function's name."""
    return Grant(_actions("sqs", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes"), (queue,))


def _records(*names: str) -> Grant:
    return Grant(_actions("dynamodb", *names), ("table",))


def _stores_below(*prefixes: str) -> Grant:
    """Uploads; one in parts that fails is taken back."""
    places = tuple(f"bucket/{prefix}*" for prefix in prefixes)
    return Grant(_actions("s3", "PutObject", "AbortMultipartUpload"), places)


def _logs_to(group: str) -> Grant:
    return Grant(_actions("logs", "CreateLogStream", "PutLogEvents"), (f"{group}:*",))


LISTS: Final = Grant(_actions("s3", "ListBucket"), ("bucket",))
"""Without a condition on the prefix: asked for one key that is missing, S3 says so only to who may list."""

FINDS: Final = Grant(_actions("dynamodb", "Query"), ("table/index/*",))
"""Jobs by name and status, overdue leases."""

_HOST: Final = (
    Grant(
        _actions(
            "autoscaling",
            "CompleteLifecycleAction",
            "RecordLifecycleActionHeartbeat",
            "SetInstanceProtection",
            "TerminateInstanceInAutoScalingGroup",
        ),
        ("spot-group", "on-demand-group"),
    ),
    Grant(
        _actions(
            "autoscaling",
            "DescribeAutoScalingGroups",
            "DescribeAutoScalingInstances",
            "DescribeLifecycleHooks",
        ),
        (EVERYTHING,),
    ),
    # The CloudWatch agent asks for the name of its host's group, and writes what it measures.
    Grant(_actions("ec2", "DescribeTags"), (EVERYTHING,)),
    Grant(
        _actions("cloudwatch", "PutMetricData"),
        (EVERYTHING,),
        {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},  # the call knows no resource
    ),
    _logs_to("worker-logs"),
)

_TRAINING: Final = (
    _records("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchWriteItem"),
    FINDS,
    LISTS,
    Grant(_actions("s3", "GetObject"), ("bucket/*",)),
    _stores_below("runs/", "snapshots/"),
    Grant(_actions("s3", "PutObjectTagging"), ("bucket/runs/*",)),
)

GRANTS: Final[Mapping[str, Sequence[Grant]]] = {
    "train-worker": (
        *_takes_from("layoutlm-train-jobs"),
        _sends_to("layoutlm-train-results"),
        _sends_to("coreml-export-jobs"),
        *_TRAINING,
        *_HOST,
    ),
    "export-worker": (
        *_takes_from("coreml-export-jobs"),
        _sends_to("coreml-export-results"),
        _records("GetItem", "PutItem", "UpdateItem", "Query"),
        FINDS,
        LISTS,
        Grant(_actions("s3", "GetObject"), ("bucket/runs/*", "bucket/coreml/*")),
        _stores_below("coreml/"),
    ),
    "sagemaker-training": (
        _sends_to("layoutlm-train-results"),
        _sends_to("coreml-export-jobs"),
        *_TRAINING,
        # SageMaker fetches the image, and writes the container's log and load, in the name of this role.
        Grant(_actions("ecr", "GetAuthorizationToken"), (EVERYTHING,)),
        Grant(_actions("ecr", "BatchGetImage", "GetDownloadUrlForLayer"), ("image",)),
        Grant(_actions("logs", "CreateLogGroup", "DescribeLogStreams"), ("training-logs", "training-logs:*")),
        Grant(
            _actions("cloudwatch", "PutMetricData"),
            (EVERYTHING,),
            {"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"}},
        ),
        _logs_to("training-logs"),
    ),
    "start-training": (
        Grant(_actions("sqs", "SendMessage"), ("layoutlm-train-jobs",)),
        _records("PutItem", "UpdateItem"),
        Grant(
            _actions("sagemaker", "AddTags", "CreateTrainingJob", "DescribeTrainingJob"), ("training-jobs/*",)
        ),
        Grant(
            _actions("iam", "PassRole"),
            ("training-role",),
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        _logs_to("start-training-logs"),
    ),
    "queue-export": (
        Grant(_actions("sqs", "SendMessage"), ("coreml-export-jobs",)),
        _records("GetItem", "PutItem", "UpdateItem"),
        FINDS,
        Grant(_actions("sagemaker", "ListTags"), ("training-jobs/*",)),
        _logs_to("queue-export-logs"),
    ),
    "process-results": (
        _polled_from("coreml-export-results"),
        _records("GetItem", "UpdateItem"),
        _logs_to("process-results-logs"),
    ),
}
"""Each role with what it may do."""


def policy_document(role: str, arns: Mapping[str, str]) -> dict[str, Any]:
    """The IAM policy of a role.

    Args:
        role: one of `GRANTS`.
        arns: of each place that its grants name.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(grant, arns) for grant in GRANTS[role]],
    }


def places_of(role: str) -> frozenset[str]:
    """The places that a role's grants name, without suffixes."""
    return frozenset(_place(on)[0] for grant in GRANTS[role] for on in grant.on) - {EVERYTHING}


def _statement(grant: Grant, arns: Mapping[str, str]) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(grant.actions),
        "Resource": [_resource(on, arns) for on in grant.on],
    }
    return {**statement, "Condition": grant.condition} if grant.condition else statement


def _resource(on: str, arns: Mapping[str, str]) -> str:
    place, suffix = _place(on)
    return EVERYTHING if place == EVERYTHING else arns[place] + suffix


def _place(on: str) -> tuple[str, str]:
    for mark in ("/", ":"):
        place, found, rest = on.partition(mark)
        if found:
            return place, found + rest
    return on, ""
