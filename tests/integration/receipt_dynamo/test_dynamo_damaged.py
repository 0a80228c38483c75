"""Damaged items among good ones: every list call gives the good ones, and names what it leaves out."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from receipt_dynamo import DynamoClient, ResultPage
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.entities import Job, JobLease, JobMetric, Record
from receipt_dynamo.entities.field_types import ExportState, JobState, ValidationStatus
from receipt_dynamo.errors import InvalidItem, NotFound
from receipt_dynamo.skipped import skipped_noted
from receipt_dynamo.types import Item
from tests.support.damage import another, contract_items, damage, damaged, put_items
from workers.aws_clients import open_aws
from workers.local_aws.local_stack import LocalStack

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
IMAGE_ID = "12345678-1234-4123-8123-123456789012"
NAME = "layoutlm-demo"
KINDS = {kind.TYPE: kind for kind in Record.__subclasses__() if hasattr(kind, "TYPE")}
LEASE = JobLease(
    kind="train",
    owner_id=JOB_ID,
    state="held",
    attempt=1,
    expires_at="2025-11-20T14:46:00.123456+00:00",
    body="{}",
)
GOOD = [*contract_items(), LEASE.to_item()]
CALLS: dict[str, tuple[Any, ...]] = {
    "list_jobs": (),
    **{f"list_jobs_by_status {one}": (one,) for one in get_args(JobState)},
    "get_latest_job_by_status": ("succeeded",),
    "get_job_by_name": (NAME,),
    "list_name_holders": (NAME,),
    "list_newest_jobs": (get_args(JobState), None),
    "list_job_metrics": (JOB_ID,),
    "get_metrics_by_name": ("eval_loss",),
    "get_metrics_by_name_across_jobs": ("eval_loss",),
    "list_job_logs": (JOB_ID,),
    "list_last_job_logs": (JOB_ID, 50),
    "list_job_statuses": (JOB_ID,),
    "list_job_checkpoints": (JOB_ID,),
    "get_coreml_export_jobs_for_job": (JOB_ID,),
    **{f"get_coreml_export_jobs_by_status {one}": (one,) for one in get_args(ExportState)},
    "list_receipts": (),
    "list_receipt_keys": (),
    "get_image_receipts": (IMAGE_ID,),
    "list_receipt_words_from_receipt": (IMAGE_ID, 1),
    **{f"list_receipt_word_labels_with_status {one}": (one,) for one in get_args(ValidationStatus)},
    "count_labels_by_category_and_status": (),
}


def in_table(stack: LocalStack, items: list[Item]) -> DynamoClient:
    put_items(stack, *items)
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


def listed(answer: Any) -> list[Any]:
    entries = answer.items if isinstance(answer, ResultPage) else answer
    return list(entries) if isinstance(entries, list) else [entries]


async def in_async(stack: LocalStack, ask: Callable[[AsyncDynamoClient], Any]) -> Any:
    async with open_aws(stack.settings) as aws:
        return await ask(aws.table)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(odd=damaged(GOOD))
def test_every_list_call_gives_what_it_would_give_without_the_damaged_items(
    emulator: Any, odd: list[Item]
) -> None:
    stack = LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")
    client = in_table(stack, GOOD)
    before = {call: listed(getattr(client, call.split()[0])(*wanted)) for call, wanted in CALLS.items()}
    put_items(stack, *odd)

    async def ask_all(table: AsyncDynamoClient) -> dict[str, Any]:
        return {call: await getattr(table, call.split()[0])(*wanted) for call, wanted in CALLS.items()}

    with skipped_noted() as skipped:
        found = asyncio.run(in_async(stack, ask_all))
    keys = {f"{item['PK']['S']} / {item['SK']['S']}" for item in odd}
    assert {error.key for error in skipped} <= keys
    for call, wanted in CALLS.items():
        answer = getattr(client, call.split()[0])(*wanted)
        assert repr(listed(answer)) == repr(listed(found[call])), call  # faults are equal by their text
        assert {str(one) for one in getattr(answer, "skipped", ())} <= {str(one) for one in skipped}, call
        if call.startswith(("count", "get_latest", "get_image", "list_newest")):
            continue
        assert [one for one in before[call] if one not in listed(answer)] == [], call
    assert client.list_leases("train", "held", before="9999").items
    client.close()


@settings(deadline=None)
@given(item=damaged(GOOD).flatmap(st.sampled_from))
def test_whatever_an_item_holds_a_record_is_made_of_it_or_it_is_refused_as_no_whole_one(item: Item) -> None:
    for kind in KINDS.values():
        with suppress(InvalidItem):
            kind.from_item(item)


def test_a_page_with_a_limit_goes_on_past_what_is_left_out(stack: LocalStack) -> None:
    metrics = [item for item in contract_items() if item["TYPE"]["S"] == JobMetric.TYPE][-1:]
    copies = [another(metrics[0], number) for number in range(6)]
    client = in_table(stack, [{**one, "value": {"S": "NaN"}} for one in copies[:3]] + copies[3:])
    page = client.list_job_metrics(JOB_ID, limit=2)
    items, key = page
    assert (len(items), len(page.skipped)) == (2, 3)
    assert all("'value.float'" in str(error) for error in page.skipped)
    assert key is not None
    assert len(client.list_job_metrics(JOB_ID, last_evaluated_key=key).items) == 1


def test_a_damaged_job_is_named_when_it_is_asked_for_and_left_out_of_the_others_of_its_name(
    stack: LocalStack,
) -> None:
    [job] = [item for item in contract_items() if item["TYPE"]["S"] == Job.TYPE]
    client = in_table(stack, [job, another(job, 7)])
    whole = Job.from_item(another(job, 7))
    damage(stack, Job.from_item(job).key(), tags={"SS": ["a"]})
    with pytest.raises(InvalidItem, match=f"JOB#{JOB_ID}.*'tags' has the type SS"):
        client.find_job(JOB_ID)
    assert client.find_job(NAME) == whole
    damage(stack, whole.key(), job_config={"S": json.dumps({"epochs": 3})})
    with pytest.raises(InvalidItem, match="JOB#"):
        client.find_job(NAME)
    with pytest.raises(NotFound):
        client.find_job("another-name")


def test_what_nobody_collects_is_logged(stack: LocalStack, caplog: pytest.LogCaptureFixture) -> None:
    [job] = [item for item in contract_items() if item["TYPE"]["S"] == Job.TYPE]
    client = in_table(stack, [{**job, "tags": {"SS": ["a"]}}])
    assert client.list_jobs() == ([], None)
    assert f"JOB#{JOB_ID} / JOB" in caplog.text


def test_a_lease_that_cannot_be_read_is_none_for_whoever_shows_it(stack: LocalStack) -> None:
    client = in_table(stack, [{**LEASE.to_item(), "attempt": {"S": "one"}}])
    with skipped_noted() as skipped:
        assert client.find_lease(JOB_ID, kind="train") is None
    assert "'attempt'" in str(skipped)
    with pytest.raises(InvalidItem, match="'attempt'"):
        client.get_lease(JOB_ID, kind="train")
