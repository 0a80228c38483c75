"""Auto Scaling calls of a worker: scale-in protection, the lifecycle hook, the end of an idle host."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.fake_hooks import Fleet, HookedAws, hooked_aws
from tests.support.fake_imds import TARGET_STATE, FakeImds, fake_imds
from tests.support.group_member import joined
from tests.support.work import Bench, training_bench
from workers.errors import GroupError
from workers.health import Health
from workers.host.asg_lifecycle import GroupMembership
from workers.local_aws.local_stack import LocalStack
from workers.telemetry.status_socket import status_served

NO_TIME = 1e-9
"""Minutes that are over at once."""


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
        yield await joined(stacked, stack, imds, aws, run_dir, idle_minutes=NO_TIME)


@pytest.fixture
async def bench(stack: LocalStack, tmp_path: Path) -> AsyncIterator[Bench]:
    async with training_bench(stack, tmp_path) as bench:
        yield bench


async def test_scale_in_is_kept_away_while_a_job_runs_and_let_come_after_it(
    member: GroupMembership, fleet: Fleet, aws: HookedAws
) -> None:
    for _ in range(2):
        await member.tell()
    assert fleet.protected == set()
    member.health.began("train", "a job", 1)
    for _ in range(2):
        await member.tell()
    assert fleet.protected == {fleet.instance_ids[0]}
    member.health.ended("DONE")
    await member.tell()
    assert fleet.protected == set()
    said = [form["ProtectedFromScaleIn"] for action, form in aws.asked if action == "SetInstanceProtection"]
    assert said == ["false", "true", "false"]


async def test_a_protection_that_a_killed_worker_has_left_is_taken_off(
    member: GroupMembership, fleet: Fleet
) -> None:
    fleet.client.set_instance_protection(
        AutoScalingGroupName=fleet.name, InstanceIds=fleet.instance_ids, ProtectedFromScaleIn=True
    )
    await member.tell()
    assert fleet.protected == {fleet.instance_ids[1]}


async def test_the_protection_stays_while_another_worker_of_this_host_has_a_job(
    member: GroupMembership, fleet: Fleet, run_dir: Path
) -> None:
    member.health.began("train", "a job", 1)
    await member.tell()
    member.health.ended("DONE")
    other = Health()
    other.began("export", "another job", 1)
    async with status_served(other, "export", run_dir) as served:
        as_of_another_process(served.path)
        await member.tell()
        assert fleet.protected == {fleet.instance_ids[0]}
        other.ended("DONE")
        await member.tell()
        assert fleet.protected == set()


async def test_a_protection_that_is_not_allowed_is_an_error_that_says_so(
    member: GroupMembership, fleet: Fleet, aws: HookedAws
) -> None:
    aws.denied.add("SetInstanceProtection")
    member.health.began("train", "a job", 1)
    with pytest.raises(GroupError, match="not allowed"):
        await member.tell()
    aws.denied.clear()
    await member.tell()
    assert fleet.protected == {fleet.instance_ids[0]}


async def test_a_hook_is_held_at_each_third_of_its_time_and_let_go_once_when_the_work_has_ended(
    member: GroupMembership, fleet: Fleet, aws: HookedAws, imds: FakeImds
) -> None:
    now = [0.0]
    member.steady = lambda: now[0]
    fleet.add_hook("drain", heartbeat_seconds=30)
    imds.values[TARGET_STATE] = "Terminated"
    await member.listener.listen()
    for now[0] in (0.0, 1.0, 9.0, 10.0, 11.0):
        await member.tell()
    assert aws.actions.count("RecordLifecycleActionHeartbeat") == 2
    member.work_ended = True
    for _ in range(2):
        await member.tell()
    said = [(action, form) for action, form in aws.asked if "LifecycleAction" in action]
    assert [action for action, _ in said] == [
        *["RecordLifecycleActionHeartbeat"] * 2,
        "CompleteLifecycleAction",
    ]
    done = said[-1][1]
    assert (done["LifecycleHookName"], done["AutoScalingGroupName"]) == ("drain", fleet.name)
    assert (done["InstanceId"], done["LifecycleActionResult"]) == (fleet.instance_ids[0], "CONTINUE")


async def test_of_several_hooks_ours_has_to_be_named(
    stack: LocalStack, imds: FakeImds, aws: HookedAws, run_dir: Path, fleet: Fleet
) -> None:
    fleet.add_hook("archive")
    fleet.add_hook("drain")
    imds.values[TARGET_STATE] = "Terminated"
    async with AsyncExitStack() as stacked:
        unnamed = await joined(stacked, stack, imds, aws, run_dir)
        named = await joined(stacked, stack, imds, aws, run_dir, lifecycle_hook="drain")
        for member in (unnamed, named):
            await member.listener.listen()
        with pytest.raises(GroupError, match="Set LAYOUTLM_LIFECYCLE_HOOK"):
            await unnamed.tell()
        await named.tell()
    action, form = aws.asked[-1]
    assert (action, form["LifecycleHookName"]) == ("RecordLifecycleActionHeartbeat", "drain")


async def test_an_idle_instance_ends_with_one_less_desired_and_takes_no_more(
    member: GroupMembership, fleet: Fleet, bench: Bench
) -> None:
    await member.tell()
    await member.leave_if_idle(bench.aws.sqs, bench.queue.url)
    assert fleet.desired == 1
    assert member.stop.takes_no_more
    assert "Idle for" in str(member.health.report().notice)
    running = fleet.client.describe_auto_scaling_instances()["AutoScalingInstances"]
    assert fleet.instance_ids[0] not in {one["InstanceId"] for one in running}


async def test_an_idle_instance_stays_while_its_queue_has_messages(
    member: GroupMembership, fleet: Fleet, bench: Bench
) -> None:
    await member.tell()
    await bench.send({"job_name": "demo"})
    await stays(member, bench, "the queue has messages")
    assert fleet.desired == 2


async def test_an_idle_instance_stays_where_its_group_is_at_its_minimum(
    member: GroupMembership, fleet: Fleet, bench: Bench
) -> None:
    fleet.client.update_auto_scaling_group(AutoScalingGroupName=fleet.name, MinSize=2)
    await member.tell()
    await stays(member, bench, "the group is at its minimum")
    assert fleet.desired == 2


async def test_an_idle_instance_stays_while_another_worker_of_it_has_a_job_or_does_not_answer(
    member: GroupMembership, fleet: Fleet, bench: Bench, run_dir: Path
) -> None:
    await member.tell()
    other = Health()
    other.began("export", "another job", 1)
    async with status_served(other, "export", run_dir) as served:
        as_of_another_process(served.path)
        await stays(member, bench, "another worker on this host has a job, or does not answer")
    assert fleet.desired == 2


def as_of_another_process(path: Path) -> None:
    (path.parent / "export-1.sock").symlink_to(path)


async def stays(member: GroupMembership, bench: Bench, reason: str) -> None:
    with capture_logs() as logs:
        await member.leave_if_idle(bench.aws.sqs, bench.queue.url)
        await member.leave_if_idle(bench.aws.sqs, bench.queue.url)
    assert [line.get("reason") for line in logs] == [reason]  # asked once a minute
    assert not member.stop.takes_no_more


@pytest.mark.parametrize("minutes", [None, 5.0])
async def test_no_instance_ends_that_was_not_idle_for_long_enough(
    member: GroupMembership, fleet: Fleet, bench: Bench, minutes: float | None
) -> None:
    await member.tell()
    member.settings = member.settings.model_copy(update={"idle_minutes": minutes})
    await member.leave_if_idle(bench.aws.sqs, bench.queue.url)
    assert fleet.desired == 2


async def test_no_instance_ends_with_a_job_in_hand(
    member: GroupMembership, fleet: Fleet, bench: Bench
) -> None:
    await member.tell()
    member.health.began("train", "a job", 1)
    await member.leave_if_idle(bench.aws.sqs, bench.queue.url)
    assert fleet.desired == 2


async def test_a_refused_end_keeps_the_worker_at_work(
    member: GroupMembership, fleet: Fleet, aws: HookedAws, bench: Bench
) -> None:
    await member.tell()
    aws.denied.add("TerminateInstanceInAutoScalingGroup")
    with capture_logs() as logs:
        await member.leave_if_idle(bench.aws.sqs, bench.queue.url)
    assert [line["event"] for line in logs] == ["idle, but cannot leave"]
    assert "not allowed" in json.dumps(logs)
    assert (fleet.desired, member.stop.takes_no_more) == (2, False)
