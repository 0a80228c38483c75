"""Calls to Auto Scaling about this instance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from receipt_dynamo.aws_faults import call_errors, judge
from workers.aws_clients import open_client
from workers.errors import GroupError
from workers.host.imds import Metadata
from workers.settings import Settings

GROUP_TAG = "tags/instance/aws:autoscaling:groupName"
"""There where the launch template has tags in instance metadata switched on."""
_TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


@dataclass(frozen=True, slots=True)
class Hook:
    """The lifecycle hook that holds an instance while it drains.

    Attributes:
        name: of the hook.
        heartbeat_seconds: for so long it waits after each word of ours.
    """

    name: str
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class AutoScalingGroup:
    """The Auto Scaling group that this instance is in. Each call raises GroupError when AWS refuses.

    Attributes:
        client: aiobotocore's.
        name: of the group.
        instance_id: ours.
        hook_name: of the hook to answer; None takes the only one there is.
    """

    client: Any
    name: str
    instance_id: str
    hook_name: str | None = None

    @classmethod
    async def find(cls, client: Any, metadata: Metadata, settings: Settings) -> AutoScalingGroup | None:
        """Look up who we are and in which group; None in none.

        Raises:
            MetadataError: the metadata service does not say who we are.
        """
        instance_id = settings.instance_id or await metadata.get("instance-id")
        if instance_id is None:
            return None
        name = settings.auto_scaling_group or await metadata.get(GROUP_TAG)
        if name is None:
            with group_errors_translated():
                answer = await client.describe_auto_scaling_instances(InstanceIds=[instance_id])
                found = answer["AutoScalingInstances"]
                name = found[0]["AutoScalingGroupName"] if found else None
        return None if name is None else cls(client, name, instance_id, settings.lifecycle_hook)

    async def protect(self, *, on: bool) -> None:
        """Keep scale-in away from this instance, or let it come."""
        with group_errors_translated():
            await self.client.set_instance_protection(
                AutoScalingGroupName=self.name, InstanceIds=[self.instance_id], ProtectedFromScaleIn=on
            )

    async def find_hook(self) -> Hook | None:
        """The hook that holds instances which are to end; None where there is none, or no one of several."""
        named = {"LifecycleHookNames": [self.hook_name]} if self.hook_name else {}
        with group_errors_translated():
            answer = await self.client.describe_lifecycle_hooks(AutoScalingGroupName=self.name, **named)
            hooks = [
                Hook(one["LifecycleHookName"], float(one["HeartbeatTimeout"]))
                for one in answer["LifecycleHooks"]
                if one["LifecycleTransition"] == _TERMINATING
            ]
        if len(hooks) > 1:
            # The others belong to other software on this instance; only that may complete them.
            names = ", ".join(hook.name for hook in hooks)
            raise GroupError(f"{self.name} has several hooks: {names}. Set LAYOUTLM_LIFECYCLE_HOOK to ours.")
        return hooks[0] if hooks else None

    async def hold(self, hook: Hook) -> None:
        """Have the hook wait for as long again."""
        with group_errors_translated():
            await self.client.record_lifecycle_action_heartbeat(**self._action(hook))

    async def let_go(self, hook: Hook) -> None:
        """Tell the hook that the instance may end."""
        with group_errors_translated():
            await self.client.complete_lifecycle_action(
                **self._action(hook), LifecycleActionResult="CONTINUE"
            )

    async def may_shrink(self) -> bool:
        """Whether one instance less still is the group's minimum or more."""
        with group_errors_translated():
            answer = await self.client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
            return any(one["DesiredCapacity"] > one["MinSize"] for one in answer["AutoScalingGroups"])

    async def end_instance(self) -> None:
        """End this instance, with one less desired; the group refuses below its minimum, too."""
        with group_errors_translated():
            await self.client.terminate_instance_in_auto_scaling_group(
                InstanceId=self.instance_id, ShouldDecrementDesiredCapacity=True
            )

    def _action(self, hook: Hook) -> dict[str, str]:
        return {
            "AutoScalingGroupName": self.name,
            "LifecycleHookName": hook.name,
            "InstanceId": self.instance_id,
        }


@asynccontextmanager
async def auto_scaling_opened(settings: Settings) -> AsyncIterator[Any]:
    """Open a client with few retries, since the caller retries, too."""
    async with open_client(settings, "autoscaling") as client:
        yield client


@contextmanager
def group_errors_translated() -> Iterator[None]:
    """Raise what a call raises as a `GroupError`; its answer is to be read inside."""
    try:
        yield
    except call_errors() as error:
        found = judge(error)
        raise GroupError(f"{found.message.rstrip('.')} ({found.code}, {found.fault})") from error
