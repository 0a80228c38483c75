"""The environment of a Lambda function: its variables, its context, and the table and queues behind it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from workers.local_aws.local_stack import LocalStack

ROLE = "arn:aws:iam::123456789012:role/training"


@dataclass(frozen=True)
class Context:
    """The one field of Lambda's context that is used; Lambda keeps it when it repeats an event."""

    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Surroundings:
    """The stack as a test looks at it."""

    stack: LocalStack

    @property
    def table(self) -> DynamoClient:
        return DynamoClient(self.stack.environ["DYNAMO_TABLE_NAME"], client=self.stack.client("dynamodb"))

    @property
    def sagemaker(self) -> Any:
        return self.stack.client("sagemaker")

    def take_all(self, variable: str) -> list[dict[str, Any]]:
        """Take all messages off a queue; returns their bodies."""
        sqs, url = self.stack.client("sqs"), self.stack.environ[variable]
        bodies = []
        while messages := sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages"):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture
def lambdas(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    """The variables that every Lambda and SageMaker's backend need."""
    sagemaker = {
        "SAGEMAKER_ROLE_ARN": ROLE,
        "SAGEMAKER_IMAGE_URI": "123456789012.dkr.ecr.us-east-1.amazonaws.com/receipt-layoutlm:1",
        "SAGEMAKER_INSTANCE_TYPE": "ml.g5.xlarge",
    }
    for name, value in {**stack.environ, **sagemaker}.items():
        monkeypatch.setenv(name, value)
    return Surroundings(stack)


@pytest.fixture
def context() -> Context:
    return Context()
