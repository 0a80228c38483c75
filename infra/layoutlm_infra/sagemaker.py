"""The resources of a training on SageMaker: a repository for its image, a role for its container."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.layoutlm_infra.roles import make_role, service_trust

INSTANCE_TYPE = "ml.g5.xlarge"
LOGS = "log-group:/aws/sagemaker/TrainingJobs"


def make_sagemaker(
    table: aws.dynamodb.Table,
) -> tuple[aws.ecr.Repository, aws.iam.Role, Mapping[str, pulumi.Output[str]]]:
    """Make them; returns repository, role, and the ARNs by the names that grants use."""
    repository = aws.ecr.Repository(
        "training",
        name="layoutlm-training",
        image_tag_mutability="IMMUTABLE",
        image_scanning_configuration={"scan_on_push": True},
        encryption_configurations=[{"encryption_type": "AES256"}],
    )
    role = make_role("sagemaker-training", service_trust("sagemaker"))
    places = {
        "image": repository.arn,
        "training-role": role.arn,
        "training-jobs": table.arn.apply(lambda arn: beside(arn, "sagemaker", "training-job")),
        "training-logs": table.arn.apply(lambda arn: beside(arn, "logs", LOGS)),
    }
    return repository, role, places


def beside(arn: str, service: str, resource: str) -> str:
    """The ARN of a resource that somebody else makes, in the account and region of one of ours."""
    _, partition, _, region, account, _ = arn.split(":", 5)
    return f"arn:{partition}:{service}:{region}:{account}:{resource}"
