from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

import receipt_dynamo
from receipt_dynamo.async_client import AsyncDynamoClient
from receipt_dynamo.client import DynamoClient
from receipt_dynamo.entities import JobMetric
from receipt_dynamo.errors import ConditionFailed, Throttled
from receipt_dynamo.operations.records import BATCH_TRIES

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
METRICS = [
    JobMetric(job_id=JOB_ID, metric_name="f1", timestamp=f"2025-11-20T14:00:0{n}.000000+00:00", value=n)
    for n in range(5)
]


class FakeDynamo:
    """Answers each call with the next prepared answer, and keeps the arguments."""

    def __init__(self, *answers: Any) -> None:
        self.meta = SimpleNamespace(endpoint_url="http://fake")
        self.calls: list[dict[str, Any]] = []
        self._answers = iter(answers)

    def batch_write_item(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        return next(self._answers)

    def update_item(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def query(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        return next(self._answers)


class AsyncFakeDynamo(FakeDynamo):
    async def batch_write_item(self, **arguments: Any) -> Any:
        return super().batch_write_item(**arguments) | {"ResponseMetadata": {"HTTPHeaders": {}}}


def unprocessed(*metrics: JobMetric) -> dict[str, Any]:
    return {"UnprocessedItems": {"t": [{"PutRequest": {"Item": metric.to_item()}} for metric in metrics]}}


def refused(item: dict[str, Any] | None) -> ClientError:
    answer: dict[str, Any] = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}
    return ClientError(cast("Any", answer | ({} if item is None else {"Item": item})), "UpdateItem")


def threaded(fake: FakeDynamo) -> DynamoClient:
    return DynamoClient("t", client=cast("Any", fake))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []

    async def note(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr("receipt_dynamo.client.time.sleep", taken.append)
    monkeypatch.setattr("receipt_dynamo.async_client.asyncio.sleep", note)
    return taken


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_what_comes_back_unprocessed_is_sent_again_after_a_pause(kind: str, pauses: list[float]) -> None:
    answers: tuple[Any, ...] = (unprocessed(*METRICS[1:3]), unprocessed(METRICS[2]), {"UnprocessedItems": {}})
    fake = FakeDynamo(*answers) if kind == "threads" else AsyncFakeDynamo(*answers)
    if kind == "threads":
        threaded(fake).add_job_metrics(METRICS)
    else:
        asyncio.run(AsyncDynamoClient("t", cast("Any", fake)).add_job_metrics(METRICS))
    assert [len(call["RequestItems"]["t"]) for call in fake.calls] == [5, 2, 1]
    assert len(pauses) == 2


def test_pauses_grow_but_stay_bounded_and_giving_up_says_how_many_remain(pauses: list[float]) -> None:
    fake = FakeDynamo(*[unprocessed(*METRICS[:3])] * BATCH_TRIES)
    with pytest.raises(Throttled, match=rf"3 items of a batch for t are unwritten after {BATCH_TRIES} tries"):
        threaded(fake).add_job_metrics(METRICS)
    assert len(fake.calls) == BATCH_TRIES
    assert all(0 <= pause <= min(5.0, 0.05 * 2**number) for number, pause in enumerate(pauses, start=1))
    assert len(pauses) == BATCH_TRIES - 1


def test_results_made_by_another_writer_between_our_two_tries_are_merged_into() -> None:
    fake = FakeDynamo(refused({"PK": {"S": "x"}}), refused({"results": {"M": {}}}), {"Attributes": {}})
    threaded(fake).merge_job_results(JOB_ID, {"best_f1": 0.5})
    sets = [call["UpdateExpression"] for call in fake.calls]
    assert sets == [
        "SET #results.#best_f1 = :results_best_f1",
        "SET #results = :results",
        "SET #results.#best_f1 = :results_best_f1",
    ]


def test_a_job_overtaken_between_our_two_tries_is_left_alone() -> None:
    fake = FakeDynamo(refused({"PK": {"S": "x"}}), refused({"attempt": {"N": "5"}}))
    with pytest.raises(ConditionFailed, match="at attempt 5, past this writer's 4"):
        threaded(fake).update_job_status(JOB_ID, "succeeded", attempt=4, results={"best_f1": 0.5})


def test_a_count_and_a_list_follow_every_page() -> None:
    key = {"PK": {"S": "x"}}
    fake = FakeDynamo({"Count": 2, "LastEvaluatedKey": key}, {"Count": 3})
    assert threaded(fake).count_receipts() == 5
    assert fake.calls[1]["ExclusiveStartKey"] == key
    items = [metric.to_item() for metric in METRICS]
    pages = FakeDynamo({"Items": items[:2], "LastEvaluatedKey": key}, {"Items": items[2:]})
    assert threaded(pages).list_job_metrics(JOB_ID).items == METRICS
    assert "Limit" not in pages.calls[0]


def test_a_limit_is_asked_for_until_it_is_reached_and_never_overshot() -> None:
    key = {"PK": {"S": "x"}}
    items = [metric.to_item() for metric in METRICS]
    fake = FakeDynamo(
        {"Items": items[:2], "LastEvaluatedKey": key}, {"Items": items[2:3], "LastEvaluatedKey": key}
    )
    page = threaded(fake).list_job_metrics(JOB_ID, limit=3)
    assert page == (METRICS[:3], key)
    assert [call["Limit"] for call in fake.calls] == [3, 1]


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        found = {name: value for name, value in vars(client).items() if not name.startswith("_")}
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in found.items()
            if callable(value)
        }

    threads = methods(DynamoClient)
    del threads["close"]
    assert threads == methods(AsyncDynamoClient)
    assert len(threads) > 60


def test_the_asyncio_client_is_imported_without_boto3() -> None:
    program = "import sys, receipt_dynamo.async_client; sys.exit('boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_gives_its_threaded_client_on_demand() -> None:
    assert receipt_dynamo.DynamoClient is DynamoClient
    assert all(hasattr(receipt_dynamo, name) for name in receipt_dynamo.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = receipt_dynamo.Nothing
