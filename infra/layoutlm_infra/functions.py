"""The three Lambdas: their code and layer, their roles, and what calls them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.layoutlm_infra.queues import Queue
from infra.layoutlm_infra.roles import grant, make_role, service_trust

DIST = Path(__file__).parent.parent / "dist"
"""Where `build.py` puts its zips."""
RUNTIME = "python3.12"
ARCHITECTURE = "x86_64"
LOG_DAYS = 30
RESULTS = "coreml-export-results"
SAGEMAKER_ENDED = {
    "source": ["aws.sagemaker"],
    "detail-type": ["SageMaker Training Job State Change"],
    "detail": {"TrainingJobStatus": ["Completed"], "TrainingJobName": [{"prefix": "layoutlm-"}]},
}
"""EventBridge's pattern; the state that people write COMPLETED is spelled so in the event."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One function.

    Attributes:
        timeout_seconds: SQS shows a batch again when its visibility has passed; a function that takes longer
            would work on it twice.
    """

    handler: str
    timeout_seconds: int
    memory_mb: int = 256


FUNCTIONS: Mapping[str, Spec] = {
    "start-training": Spec("start_training.handler", timeout_seconds=30),
    "queue-export": Spec("queue_export.handler", timeout_seconds=30),
    "process-results": Spec("process_results.handler", timeout_seconds=20),
}


def make_functions(
    environment: Mapping[str, pulumi.Input[str]],
    places: Mapping[str, pulumi.Input[str]],
    queues: Mapping[str, Queue],
) -> dict[str, aws.lambda_.Function]:
    """Make them all, and what calls them.

    Args:
        environment: the settings that they read.
        places: ARNs by the names that grants use.
        queues: all of them, by name.
    """
    layer = aws.lambda_.LayerVersion(
        "packages",
        layer_name="layoutlm-packages",
        code=pulumi.FileArchive(str(DIST / "layer.zip")),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[ARCHITECTURE],
    )
    made = {name: _function(name, layer, environment, places) for name in FUNCTIONS}
    _take_results(made["process-results"], queues[RESULTS])
    _hear_of_ended_trainings(made["queue-export"])
    return made


def _function(
    name: str,
    layer: aws.lambda_.LayerVersion,
    environment: Mapping[str, pulumi.Input[str]],
    places: Mapping[str, pulumi.Input[str]],
) -> aws.lambda_.Function:
    spec = FUNCTIONS[name]
    log = aws.cloudwatch.LogGroup(name, name=f"/aws/lambda/layoutlm-{name}", retention_in_days=LOG_DAYS)
    role = make_role(name, service_trust("lambda"))
    allowed = grant(name, role, {**places, f"{name}-logs": log.arn})
    return aws.lambda_.Function(
        name,
        name=f"layoutlm-{name}",
        role=role.arn,
        runtime=RUNTIME,
        architectures=[ARCHITECTURE],
        handler=spec.handler,
        code=pulumi.FileArchive(str(DIST / "lambdas.zip")),
        layers=[layer.arn],
        timeout=spec.timeout_seconds,
        memory_size=spec.memory_mb,
        environment={"variables": dict(environment)},
        logging_config={"log_format": "JSON", "log_group": log.name},
        # A function that runs before its role may do anything fails at its first event.
        opts=pulumi.ResourceOptions(depends_on=[allowed]),
    )


def _take_results(function: aws.lambda_.Function, queue: Queue) -> None:
    aws.lambda_.EventSourceMapping(
        "results",
        event_source_arn=queue.main.arn,
        function_name=function.arn,
        batch_size=10,
        function_response_types=["ReportBatchItemFailures"],
    )


def _hear_of_ended_trainings(function: aws.lambda_.Function) -> None:
    rule = aws.cloudwatch.EventRule(
        "training-ended", name="layoutlm-training-ended", event_pattern=json.dumps(SAGEMAKER_ENDED)
    )
    aws.cloudwatch.EventTarget("training-ended", rule=rule.name, arn=function.arn)
    aws.lambda_.Permission(
        "training-ended",
        action="lambda:InvokeFunction",
        function=function.name,
        principal="events.amazonaws.com",
        source_arn=rule.arn,
    )
