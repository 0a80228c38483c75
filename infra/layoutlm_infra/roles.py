"""Creates roles from grants: one role for each caller of AWS, and no user keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.layoutlm_infra.iam_policies import places_of, policy_document


def service_trust(service: str) -> dict[str, Any]:
    """Who may take the role: a service of AWS, for example `ec2`."""
    return _trust({"Service": f"{service}.amazonaws.com"})


def people_trust(arns: Sequence[str]) -> dict[str, Any]:
    """Who may take the role: users or roles of people; their Macs need no key of their own."""
    return _trust({"AWS": list(arns)})


def make_role(name: str, trust: Mapping[str, Any]) -> aws.iam.Role:
    """Make a role that may do nothing yet."""
    return aws.iam.Role(name, name=f"layoutlm-{name}", assume_role_policy=json.dumps(trust))


def grant(name: str, role: aws.iam.Role, places: Mapping[str, pulumi.Input[str]]) -> aws.iam.RolePolicy:
    """Let the role do what `GRANTS` says for its name.

    Args:
        name: one of `GRANTS`.
        role: the role.
        places: ARNs by the names that grants use; those of others may be among them.
    """
    arns = pulumi.Output.all(**{place: places[place] for place in places_of(name)})
    policy = arns.apply(lambda known: json.dumps(policy_document(name, known)))
    return aws.iam.RolePolicy(name, role=role.name, policy=policy)


def _trust(principal: Mapping[str, Any]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}
