"""The hosts of the train worker: a group on Spot, and one on demand for times without Spot capacity."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.layoutlm_infra.metrics import ON_DEMAND_GROUP, SPOT_GROUP
from infra.layoutlm_infra.stack_config import StackConfig
from workers.settings import Settings

_DEEP_LEARNING = "/aws/service/deeplearning/ami/x86_64"
AMI = f"resolve:ssm:{_DEEP_LEARNING}/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
"""Amazon's image with NVIDIA's driver, looked up at each launch."""
INSTANCE_TYPES = ("g6.xlarge", "g5.xlarge", "g6.2xlarge", "g5.2xlarge", "g4dn.xlarge", "g4dn.2xlarge")
"""One GPU of 16 to 24 GB each, in the order of taking them on demand; more types are more Spot pools."""
VOLUME = {
    "encrypted": "true",
    "volume_size": 150,
    "volume_type": "gp3",
    "delete_on_termination": "true",
}
METADATA = {
    "http_endpoint": "enabled",
    "http_tokens": "required",
    "http_put_response_hop_limit": 1,
    "instance_metadata_tags": "enabled",
}
"""One hop: what runs in a container on the host, or is tricked into a request, gets no credentials. Tags,
because the worker learns from them which group it is in."""
ON_DEMAND_HOSTS = 1
HOOK = "layoutlm-drain"
HOOK_MARGIN_SECONDS = 60
"""For the upload and the last writes after the drain; a worker that is at it asks for more by heartbeat."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The two groups."""

    spot: aws.autoscaling.Group
    on_demand: aws.autoscaling.Group

    @property
    def arns(self) -> dict[str, pulumi.Output[str]]:
        """As grants call them."""
        return {"spot-group": self.spot.arn, "on-demand-group": self.on_demand.arn}


def make_fleet(options: StackConfig, role: aws.iam.Role, user_data: pulumi.Input[str]) -> Fleet:
    """Make both groups, empty: scaling fills them."""
    template = _template(options, role, user_data)
    distributions: dict[str, tuple[int, dict[str, Any]]] = {
        SPOT_GROUP: (
            options.max_spot_hosts,
            {
                "on_demand_percentage_above_base_capacity": 0,
                "spot_allocation_strategy": "price-capacity-optimized",
            },
        ),
        ON_DEMAND_GROUP: (
            ON_DEMAND_HOSTS,
            {
                "on_demand_percentage_above_base_capacity": 100,
                "on_demand_allocation_strategy": "prioritized",
            },
        ),
    }
    groups = {
        name: _group(name, options, template, max_size, distribution)
        for name, (max_size, distribution) in distributions.items()
    }
    return Fleet(groups[SPOT_GROUP], groups[ON_DEMAND_GROUP])


def hook_seconds() -> int:
    """How long a host that shall end is left alone: poll and drain of the worker, and a margin."""
    settings = Settings.from_environ({})
    return round(settings.poll_seconds + settings.drain_seconds) + HOOK_MARGIN_SECONDS


def _template(
    options: StackConfig, role: aws.iam.Role, user_data: pulumi.Input[str]
) -> aws.ec2.LaunchTemplate:
    profile = aws.iam.InstanceProfile("train-worker", role=role.name)
    # Nobody logs in, so nothing comes in; pip, dnf and AWS answer on 443.
    wall = aws.ec2.SecurityGroup(
        "train-worker",
        vpc_id=options.vpc,
        description="Train workers: nothing in, HTTPS out",
        ingress=[],
        egress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"]}],
    )
    script = pulumi.Output.from_input(user_data)
    return aws.ec2.LaunchTemplate(
        "train-worker",
        image_id=AMI,
        instance_type=INSTANCE_TYPES[0],
        iam_instance_profile={"arn": profile.arn},
        vpc_security_group_ids=[wall.id],
        user_data=script.apply(lambda text: base64.b64encode(text.encode()).decode()),
        update_default_version=True,
        instance_initiated_shutdown_behavior="terminate",
        metadata_options=METADATA,
        block_device_mappings=[{"device_name": "/dev/xvda", "ebs": VOLUME}],
        tag_specifications=[
            {"resource_type": kind, "tags": {"Name": "layoutlm-train-worker"}}
            for kind in ("instance", "volume")
        ],
    )


def _group(
    name: str,
    options: StackConfig,
    template: aws.ec2.LaunchTemplate,
    max_size: int,
    distribution: Mapping[str, Any],
) -> aws.autoscaling.Group:
    group = aws.autoscaling.Group(
        name,
        name=name,
        min_size=0,
        max_size=max_size,
        vpc_zone_identifiers=list(options.subnets),
        capacity_rebalance=name == SPOT_GROUP,
        # Only a worker knows that it has no job in hand: it ends its own host when it is idle. Evening out
        # zones would end one that has.
        suspended_processes=["AZRebalance"],
        enabled_metrics=["GroupInServiceInstances", "GroupDesiredCapacity"],
        metrics_granularity="1Minute",
        wait_for_capacity_timeout="0",
        mixed_instances_policy={
            "instances_distribution": {"on_demand_base_capacity": 0, **distribution},
            "launch_template": {
                "launch_template_specification": {"launch_template_id": template.id, "version": "$Latest"},
                "overrides": [{"instance_type": kind} for kind in INSTANCE_TYPES],
            },
        },
    )
    aws.autoscaling.LifecycleHook(
        name,
        name=HOOK,
        autoscaling_group_name=group.name,
        lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
        heartbeat_timeout=hook_seconds(),
        default_result="CONTINUE",
    )
    return group
