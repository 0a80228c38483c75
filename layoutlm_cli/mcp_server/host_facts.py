"""Describes this host: instance, accelerator and versions of what trains, for `infrastructure.json`."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

from workers.errors import MetadataError
from workers.host.imds import metadata_opened
from workers.settings import Settings

_SMI_SECONDS = 10


def describe_host(settings: Settings) -> dict[str, str | None]:
    """What guides ask about a training host; None for what it is not or does not tell.

    `gpu` is the first accelerator's name. The instance's facts come from its metadata service, on EC2 only.
    """
    instance = asyncio.run(_read_instance(settings))
    return {
        "ec2_instance_type": instance.get("instance-type"),
        "gpu": _gpu_name(),
        "ami": instance.get("ami-id"),
        "asg_name": settings.auto_scaling_group or instance.get("tags/instance/aws:autoscaling:groupName"),
        "s3_bucket": settings.bucket,
        "dynamo_table": settings.table_name,
        "conda_env": os.environ.get("CONDA_DEFAULT_ENV"),
        "python_version": platform.python_version(),
        "pytorch_version": _version_of("torch"),
        "transformers_version": _version_of("transformers"),
    }


async def _read_instance(settings: Settings) -> dict[str, str | None]:
    names = ("instance-type", "ami-id", "tags/instance/aws:autoscaling:groupName")
    async with metadata_opened(settings) as metadata:
        if metadata is None:
            return {}
        try:
            return {name: await metadata.get(name) for name in names}
        except MetadataError:  # the service does not answer; the other facts are worth having
            return {}


def _gpu_name() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(  # noqa: S603 - the driver's own tool
            command, capture_output=True, text=True, check=True, timeout=_SMI_SECONDS
        )
    except (OSError, subprocess.SubprocessError):  # a driver that does not answer
        return None
    return next(iter(answer.stdout.splitlines()), None)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # the host only watches
        return None
