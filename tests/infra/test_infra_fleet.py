"""The hosts: safe by their template, from zero by their groups, and given the time that a worker needs."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from infra.layoutlm_infra.alarms import IDLE_GPU, SILENT
from infra.layoutlm_infra.scaling import ASLEEP, BACKLOG_PER_HOST, STARVED
from infra.layoutlm_infra.stack_config import StackConfig
from tests.support.deployment import BUCKET, CONFIGURATION, INFRA, Deployment
from workers.settings import Settings

ROOT = Path(__file__).parent.parent.parent
GROUP = "autoscaling/group:Group"
SPOT, ON_DEMAND = "layoutlm-train-spot", "layoutlm-train-on-demand"


def user_data(deployment: Deployment) -> str:
    return base64.b64decode(deployment.one("ec2/launchTemplate:LaunchTemplate")["userData"]).decode()


def settings_of(script: str) -> dict[str, str]:
    block = script.partition("<<'SETTINGS'\n")[2].partition("\nSETTINGS\n")[0]
    return dict(line.split("=", 1) for line in block.splitlines())


def test_credentials_of_a_host_can_be_had_with_a_token_and_from_the_host_alone(
    deployment: Deployment,
) -> None:
    options = deployment.one("ec2/launchTemplate:LaunchTemplate")["metadataOptions"]
    assert options == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "enabled",
    }


def test_a_host_lets_nothing_in_and_only_https_out(deployment: Deployment) -> None:
    wall = deployment.one("ec2/securityGroup:SecurityGroup")
    [way_out] = wall["egress"]
    assert (way_out["fromPort"], way_out["toPort"], way_out["protocol"]) == (443, 443, "tcp")
    assert "keyName" not in deployment.one("ec2/launchTemplate:LaunchTemplate")


def test_groups_scale_to_zero_and_differ_in_how_they_pay(deployment: Deployment) -> None:
    groups = deployment.all_of(GROUP)
    assert {group["minSize"] for group in groups.values()} == {0}
    assert all("desiredCapacity" not in group for group in groups.values())  # scaling's, not the deployment's
    assert groups[SPOT]["maxSize"] == int(CONFIGURATION["receipt-layoutlm:max_spot_hosts"])
    on_demand = {
        name: group["mixedInstancesPolicy"]["instancesDistribution"]["onDemandPercentageAboveBaseCapacity"]
        for name, group in groups.items()
    }
    assert on_demand == {SPOT: 0, ON_DEMAND: 100}
    for group in groups.values():
        assert len(group["mixedInstancesPolicy"]["launchTemplate"]["overrides"]) >= 4
        assert "AZRebalance" in group["suspendedProcesses"]


def test_a_host_that_ends_waits_until_its_worker_has_drained(deployment: Deployment) -> None:
    settings = Settings.from_environ({})
    unit = (ROOT / "systemd" / "layoutlm-train-worker.service").read_text(encoding="utf-8")
    stopping = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])
    for hook in deployment.all_of("autoscaling/lifecycleHook:LifecycleHook").values():
        assert hook["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
        assert hook["heartbeatTimeout"] > settings.drain_seconds + settings.poll_seconds
        assert hook["heartbeatTimeout"] >= stopping
        assert hook["defaultResult"] == "CONTINUE"


def test_the_first_boot_is_a_script_that_bash_takes_and_has_no_secret(deployment: Deployment) -> None:
    script = user_data(deployment)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert len(base64.b64encode(script.encode())) < 16_384
    assert f"aws s3 cp --quiet s3://{BUCKET}/deploy/0.1.0.zip" in script
    assert "/opt/layoutlm-release/systemd/install.sh 0.1.0 train" in script
    assert not re.search(r"SECRET|ACCESS_KEY|PASSWORD", script)


def test_the_worker_finds_every_setting_that_it_cannot_do_without(deployment: Deployment) -> None:
    given = settings_of(user_data(deployment))
    known = set(Settings.variables())
    assert set(given) <= known
    settings = Settings.from_environ(given)
    settings.require("table_name", "bucket", "region", "train_job_queue_url", "train_results_queue_url")
    settings.require("export_job_queue_url")
    assert (settings.bucket, settings.metrics) == (BUCKET, "emf")
    assert settings.idle_minutes is not None  # or no host would ever end


def test_pulumi_asks_for_every_option_that_the_program_reads() -> None:
    described = re.findall(r"^  (receipt-layoutlm:\w+):$", (INFRA / "Pulumi.yaml").read_text(), re.MULTILINE)
    assert {*described, "aws:region"} == set(CONFIGURATION)
    assert {f"receipt-layoutlm:{one.name}" for one in fields(StackConfig)} == set(described)


def scaling(deployment: Deployment, name: str) -> dict[str, Any]:
    return deployment.all_of("autoscaling/policy:Policy")[name]


def test_one_host_is_kept_for_each_message_and_only_workers_end_hosts(deployment: Deployment) -> None:
    tracking = scaling(deployment, "backlog")["targetTrackingConfiguration"]
    assert tracking["targetValue"] == 1
    assert tracking["disableScaleIn"] is True
    metrics = tracking["customizedMetricSpecification"]["metrics"]
    [result] = [metric for metric in metrics if metric["returnData"]]
    named = {metric["id"] for metric in metrics} - {result["id"]}
    assert set(re.findall(r"FILL\((\w+),", result["expression"])) == named
    assert {"visible", "in_flight", "spot"} <= named


def choose(condition: bool, yes: float, no: float) -> float:
    return yes if condition else no


def evaluate(expression: str, **values: float) -> float:
    """CloudWatch's metric math as far as these expressions use it, with no value missing."""
    python = (
        re.sub(r"FILL\((\w+), 0\)", r"\1", expression)
        .replace(" AND ", " and ")
        .replace(" OR ", " or ")
        .replace("IF(", "choose(")
    )
    return float(eval(python, {"choose": choose, **values}))  # noqa: S307 - our own expressions


def test_the_expressions_say_what_they_mean() -> None:

    quiet = {"visible": 0, "in_flight": 0, "oldest": 0, "spot": 0, "on_demand": 0}
    busy = {**quiet, "visible": 4, "in_flight": 2, "spot": 1, "on_demand": 1}
    assert evaluate(BACKLOG_PER_HOST, **quiet) == 0
    assert evaluate(BACKLOG_PER_HOST, **busy) == 3
    assert evaluate(BACKLOG_PER_HOST, **{**quiet, "visible": 4}) == 4
    assert evaluate(ASLEEP, **busy) == 0
    assert evaluate(ASLEEP, **{**quiet, "visible": 2}) == 2
    assert evaluate(STARVED, **{**quiet, "oldest": 901}) == 1
    assert evaluate(STARVED, **{**quiet, "oldest": 901, "on_demand": 1}) == 0
    host = {**quiet, "spot": 1, "received": 0, "empty": 0, "most_spot": 0, "most_on_demand": 0}
    assert evaluate(SILENT, **host) == 1
    signs = (
        {"empty": 3},
        {"received": 1},
        {"in_flight": 1},
        {"most_spot": 80},
        {"most_on_demand": 80},
        {"spot": 0},
    )
    for sign in signs:
        assert evaluate(SILENT, **{**host, **sign}) == 0
    gpus = {"spot": 2, "on_demand": 0, "least_spot": 60, "least_on_demand": 0}
    assert evaluate(IDLE_GPU, **gpus) == 0
    assert evaluate(IDLE_GPU, **{**gpus, "least_spot": 0}) == 1
    assert evaluate(IDLE_GPU, **{**gpus, "on_demand": 1}) == 1


def test_a_group_leaves_zero_by_a_step_since_a_multiple_of_nothing_is_nothing(deployment: Deployment) -> None:
    alarms = deployment.all_of("cloudwatch/metricAlarm:MetricAlarm")
    for name, group in (("wake", SPOT), ("starved", ON_DEMAND)):
        policy = scaling(deployment, name)
        assert policy["autoscalingGroupName"] == group
        assert policy["adjustmentType"] == "ChangeInCapacity"
        assert policy["stepAdjustments"] == [{"scalingAdjustment": 1, "metricIntervalLowerBound": "0"}]
        assert len(alarms[name]["alarmActions"]) == 1
        assert alarms[name]["treatMissingData"] == "notBreaching"


@pytest.mark.parametrize(
    ("disk", "mounted", "does"),
    [
        ("/dev/nvme1n1 Amazon EC2 NVMe Instance Storage", False, ["mkfs.xfs", "mount /dev/nvme1n1"]),
        ("/dev/nvme1n1 Amazon EC2 NVMe Instance Storage", True, ["mount --bind /opt/dlami/nvme/layoutlm"]),
        ("/dev/nvme0n1 Amazon Elastic Block Store", False, []),
    ],
)
def test_what_a_run_keeps_lies_on_the_hosts_own_disk_where_there_is_one(
    deployment: Deployment, tmp_path: Path, disk: str, mounted: bool, does: list[str]
) -> None:
    script = user_data(deployment)
    part = "set -euo pipefail\n" + script[script.index("mkdir -p /var/cache") : script.index("aws s3 cp")]
    calls = tmp_path / "calls"
    answers = {
        "lsblk": f"echo '{disk}'",
        "mountpoint": f"exit {int(not mounted)}",
        **dict.fromkeys(("mkdir", "mkfs.xfs", "mount"), f'echo "${{0##*/}} $*" >> {calls}'),
    }
    for name, body in answers.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", part], env={"PATH": path}, check=True)
    done = [line for line in calls.read_text().splitlines() if not line.startswith("mkdir")]
    assert len(done) == len(does)
    for line, start in zip(done, does, strict=True):
        assert line.startswith(start)
        assert line.startswith("mkfs") or line.endswith("/var/cache/receipt-layoutlm")
