"""An instance's membership in its Auto Scaling group, with real metadata and Auto Scaling over HTTP."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.support.fake_hooks import HookedAws
from tests.support.fake_imds import FakeImds
from workers.health import Health
from workers.host.asg_lifecycle import GroupMembership
from workers.host.auto_scaling import auto_scaling_opened
from workers.host.imds import metadata_opened
from workers.host.spot_listener import Listener
from workers.local_aws.local_stack import LocalStack
from workers.stop import Stop


async def joined(
    stacked: AsyncExitStack, stack: LocalStack, imds: FakeImds, aws: HookedAws, run_dir: Path, **changes: Any
) -> GroupMembership:
    where = {"endpoint_url": aws.url, "metadata_url": imds.url, "run_dir": run_dir, **changes}
    settings = stack.settings.model_copy(update=where)
    metadata = await stacked.enter_async_context(metadata_opened(settings))
    client = await stacked.enter_async_context(auto_scaling_opened(settings))
    assert metadata is not None
    stop, health = Stop(), Health()
    health.polled()
    listener = Listener(metadata, settings, stop, health)
    return GroupMembership(client, metadata, settings, stop, health, listener)
