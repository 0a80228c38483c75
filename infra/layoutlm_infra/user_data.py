"""The boot script of a host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from workers.telemetry.emf_metrics import NAMESPACE

IDLE_MINUTES = 10
"""A started minute of a GPU costs about as much as the boot that its next job would wait for."""
LOG_FILE = "/var/log/layoutlm/worker.log"
UNIT = "layoutlm-train-worker.service"
CACHE = "/var/cache/receipt-layoutlm"
"""The unit's CacheDirectory."""

_SCRIPT = """\
#!/bin/bash
set -euo pipefail
dnf install --assumeyes --quiet python3.11 amazon-cloudwatch-agent

# The host's disk goes with the host: the log has to be elsewhere before that.
mkdir -p /etc/layoutlm /var/log/layoutlm /etc/systemd/system/{unit}.d /opt/layoutlm-release
printf '[Service]\\nStandardError=append:{log_file}\\n' > /etc/systemd/system/{unit}.d/log.conf
cat > /opt/aws/amazon-cloudwatch-agent/etc/layoutlm.json <<'AGENT'
{agent}
AGENT
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s \\
    -c file:/opt/aws/amazon-cloudwatch-agent/etc/layoutlm.json

cat > /etc/layoutlm/worker.env <<'SETTINGS'
{settings}
SETTINGS
chmod 0600 /etc/layoutlm/worker.env

# What a run keeps on disk may be lost with the host, so it goes to the host's own disk where there is one.
# Amazon's image for GPUs has it mounted already.
mkdir -p {cache}
disk="$(lsblk --nodeps --noheadings --output PATH,MODEL | awk '/Instance Storage/ {{ print $1; exit }}')"
if mountpoint --quiet /opt/dlami/nvme; then
    mkdir -p /opt/dlami/nvme/layoutlm
    mount --bind /opt/dlami/nvme/layoutlm {cache}
elif [[ -n "$disk" ]]; then
    mkfs.xfs -q -f "$disk"
    mount "$disk" {cache}
fi

aws s3 cp --quiet {release} /tmp/release.zip
python3.11 -m zipfile --extract /tmp/release.zip /opt/layoutlm-release
PIP_FIND_LINKS=/opt/layoutlm-release/wheels bash /opt/layoutlm-release/systemd/install.sh {version} train
"""


def make_user_data(release: str, version: str, settings: Mapping[str, str], log_group: str) -> str:
    """The user data of a host.

    Args:
        release: S3 URI of the zip that `build.py` has made.
        version: of the package in it.
        settings: the worker's environment; none of it is secret.
        log_group: where its log goes.
    """
    return _SCRIPT.format(
        unit=UNIT,
        cache=CACHE,
        log_file=LOG_FILE,
        agent=json.dumps(_agent(log_group), indent=2),
        settings="\n".join(f"{name}={value}" for name, value in settings.items()),
        release=shlex.quote(release),
        version=shlex.quote(version),
    )


def _agent(log_group: str) -> dict[str, Any]:
    """The CloudWatch agent's configuration: how busy the GPU is, by group, and the worker's log."""
    log = {"file_path": LOG_FILE, "log_group_name": log_group, "log_stream_name": "{instance_id}"}
    return {
        "metrics": {
            "namespace": NAMESPACE,
            "metrics_collected": {
                "nvidia_gpu": {"measurement": ["utilization_gpu"], "metrics_collection_interval": 60}
            },
            "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
            "aggregation_dimensions": [["AutoScalingGroupName"]],
        },
        "logs": {"logs_collected": {"files": {"collect_list": [log]}}},
    }
