"""Roles: no wildcard, nothing of others, and for hosts exactly what `workers/host/` asks of Auto Scaling."""

from __future__ import annotations

import ast
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session

from infra.layoutlm_infra.iam_policies import GRANTS, NO_RESOURCE
from tests.support.deployment import CONFIGURATION, Deployment
from workers.local_aws.local_stack import LocalStack
from workers.telemetry.emf_metrics import NAMESPACE

HOST = Path(__file__).parent.parent.parent / "workers" / "host"
SERVICES = {
    "train-worker": "ec2",
    "sagemaker-training": "sagemaker",
    "start-training": "lambda",
    "queue-export": "lambda",
    "process-results": "lambda",
}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("role", GRANTS)
def test_no_role_has_an_action_with_a_wildcard_or_a_resource_that_is_not_ours(
    role: str, deployment: Deployment
) -> None:
    for statement in deployment.policy_of(role):
        for action in statement["Action"]:
            assert "*" not in action
            for resource in statement["Resource"]:
                assert (resource == "*") == (action in NO_RESOURCE)
                if resource != "*":
                    assert resource.startswith("arn:aws:")
                    assert resource.split(":", 5)[5].strip("*/:")


def test_every_role_is_taken_by_one_service_or_by_named_people(deployment: Deployment) -> None:
    roles = deployment.all_of("iam/role:Role")
    assert set(roles) == set(GRANTS)
    for name, role in roles.items():
        [statement] = json.loads(role["assumeRolePolicy"])["Statement"]
        if name in SERVICES:
            assert statement["Principal"] == {"Service": f"{SERVICES[name]}.amazonaws.com"}
        else:
            assert statement["Principal"] == {"AWS": json.loads(CONFIGURATION["receipt-layoutlm:exporters"])}


def test_iam_takes_every_policy(deployment: Deployment, stack: LocalStack) -> None:
    iam = stack.client("iam")
    for name, role in deployment.all_of("iam/role:Role").items():
        made = f"{name}-{uuid.uuid4().hex[:8]}"
        iam.create_role(RoleName=made, AssumeRolePolicyDocument=role["assumeRolePolicy"])
        policy = deployment.all_of("iam/rolePolicy:RolePolicy")[name]["policy"]
        iam.put_role_policy(RoleName=made, PolicyName="all", PolicyDocument=policy)
        assert len(policy) < 10_240  # IAM's limit for a role's policies together, without spaces


def test_nobody_gets_a_key_that_lasts(deployment: Deployment) -> None:
    kinds = {made.kind for made in deployment.made}
    assert not {kind for kind in kinds if kind.startswith(("aws:iam/user", "aws:iam/accessKey"))}


def test_a_role_is_passed_to_sagemaker_alone(deployment: Deployment) -> None:
    [passing] = [one for one in deployment.policy_of("start-training") if one["Action"] == ["iam:PassRole"]]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    [resource] = passing["Resource"]
    assert resource.endswith("layoutlm-sagemaker-training")


def client_calls(operations: dict[str, str]) -> set[str]:
    """The operations that a module's code calls on a client, by their names in Python."""
    found = set()
    for path in HOST.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found.add(operations.get(node.func.attr, ""))
    return found - {""}


def test_a_host_may_ask_of_auto_scaling_what_its_worker_asks_and_nothing_else(deployment: Deployment) -> None:
    model: Any = get_session().get_service_model("autoscaling")
    called = client_calls({xform_name(name): name for name in model.operation_names})
    allowed = {
        action
        for statement in deployment.policy_of("train-worker")
        for action in statement["Action"]
        if action.startswith("autoscaling:")
    }
    assert allowed == {f"autoscaling:{name}" for name in called}


def test_metrics_of_hosts_go_to_our_namespace_only(deployment: Deployment) -> None:
    statements = deployment.policy_of("train-worker")
    [metrics] = [one for one in statements if one["Action"] == ["cloudwatch:PutMetricData"]]
    assert metrics["Condition"] == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}


def test_the_container_may_do_to_table_and_bucket_what_the_worker_may(deployment: Deployment) -> None:
    """The same code trains in both, so the calls that are recorded of the one stand for the other."""
    of_data = ("s3:", "dynamodb:")
    grants = [
        [one for one in deployment.policy_of(role) if one["Action"][0].startswith(of_data)]
        for role in ("sagemaker-training", "train-worker")
    ]
    assert grants[0] == grants[1]
