"""The lookup of an instance's Auto Scaling group: by settings, by metadata, repeated while it is in none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.fake_hooks import Fleet, HookedAws, hooked_aws
from tests.support.fake_imds import GROUP_TAG, FakeImds, fake_imds
from tests.support.group_member import joined
from workers.errors import GroupError
from workers.host.asg_lifecycle import GroupMembership
from workers.host.auto_scaling import AutoScalingGroup
from workers.local_aws.local_stack import LocalStack


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as imds:
        yield imds


@pytest.fixture
def aws(stack: LocalStack) -> Iterator[HookedAws]:
    with hooked_aws(stack.environ["AWS_ENDPOINT_URL"]) as aws:
        yield aws


@pytest.fixture
def fleet(stack: LocalStack, imds: FakeImds) -> Fleet:
    fleet = Fleet.make(stack, size=2, smallest=1)
    imds.values["instance-id"] = fleet.instance_ids[0]
    return fleet


@pytest.fixture
async def member(
    stack: LocalStack, imds: FakeImds, aws: HookedAws, run_dir: Path
) -> AsyncIterator[GroupMembership]:
    async with AsyncExitStack() as stacked:
        yield await joined(stacked, stack, imds, aws, run_dir)


async def test_the_group_may_be_named_by_a_tag_or_by_a_setting(
    stack: LocalStack, imds: FakeImds, aws: HookedAws, run_dir: Path, fleet: Fleet
) -> None:
    async with AsyncExitStack() as stacked:
        imds.values[GROUP_TAG] = fleet.name
        by_tag = await joined(stacked, stack, imds, aws, run_dir)
        assert await by_tag.tell()
        del imds.values[GROUP_TAG], imds.values["instance-id"]
        imds.values["instance-id"] = "i-unknown"
        names = {"instance_id": fleet.instance_ids[1], "auto_scaling_group": fleet.name}
        by_settings = await joined(stacked, stack, imds, aws, run_dir, **names)
        by_settings.health.began("train", "a job", 1)
        assert await by_settings.tell()
    assert fleet.protected == {fleet.instance_ids[1]}
    assert "DescribeAutoScalingInstances" not in aws.actions


async def test_an_instance_in_no_group_asks_ever_more_rarely_and_notices_when_it_is_put_into_one(
    member: GroupMembership, stack: LocalStack, imds: FakeImds, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            imds.values["instance-id"] = Fleet.make(stack, size=1).instance_ids[0]
        if len(pauses) == 9:
            raise RuntimeError("enough")

    monkeypatch.setattr("workers.host.asg_lifecycle.asyncio.sleep", sleep)
    with capture_logs() as logs, pytest.raises(RuntimeError, match="enough"):
        await member.sync_with_group()
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 1, 1]
    assert [line["event"] for line in logs] == [
        "this instance is in no Auto Scaling group",
        "scale-in protection",
    ]
    assert member.is_known


async def test_where_nobody_knows_whether_it_is_ec2_no_group_is_looked_for_until_metadata_answers(
    member: GroupMembership, aws: HookedAws
) -> None:
    member.metadata.expected = False
    keeping = asyncio.create_task(member.sync_with_group())
    await asyncio.sleep(0.2)
    assert aws.actions == []
    await member.listener.listen()
    async with asyncio.timeout(20):
        while not aws.actions:  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.02)
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_a_foreign_answer_is_an_error_of_the_group_and_not_of_the_task(member: GroupMembership) -> None:
    class Foreign:
        """What a proxy makes of every call: an answer that has nothing of what was asked for."""

        def __getattr__(self, _: str) -> Callable[..., Awaitable[dict[str, str]]]:
            async def answer(**_: object) -> dict[str, str]:
                return {}

            return answer

    member.client = Foreign()
    group = AutoScalingGroup(member.client, "group", "i-1")
    for asking in (member.tell, group.find_hook, group.may_shrink):
        with pytest.raises(GroupError, match="not in the form of AWS"):
            await asking()
