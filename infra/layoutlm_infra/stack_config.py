"""The stack's configuration."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One deployment.

    Attributes:
        bucket: name of the bucket of runs and bundles.
        vpc: the VPC of the hosts.
        subnets: where hosts start, with a way out to the internet.
        version: of receipt-layoutlm, that hosts install.
        exporters: ARNs of those who may take the export worker's role.
        max_spot_hosts: how many Spot hosts may run at a time.
        alarm_topic: ARN of the SNS topic that alarms write to.
    """

    bucket: str
    vpc: str
    subnets: tuple[str, ...]
    version: str
    exporters: tuple[str, ...]
    max_spot_hosts: int
    alarm_topic: str

    @classmethod
    def read(cls) -> StackConfig:
        """Read them.

        Raises:
            pulumi.ConfigMissingError: one is not set; it says how to set it.
        """
        config = pulumi.Config("receipt-layoutlm")
        return cls(
            bucket=config.require("bucket"),
            vpc=config.require("vpc"),
            subnets=tuple(config.require_object("subnets")),
            version=config.require("version"),
            exporters=tuple(config.require_object("exporters")),
            max_spot_hosts=config.require_int("max_spot_hosts"),
            alarm_topic=config.require("alarm_topic"),
        )
