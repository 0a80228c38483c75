"""The emulator answers as moto does, in time that does not grow with the rest of the table."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from moto.dynamodb.responses import DynamoHandler

from workers.local_aws.local_stack import LocalStack
from workers.local_aws.moto_server import one_after_the_other


@pytest.fixture
def dynamodb(stack: LocalStack) -> Any:
    client, name = stack.client("dynamodb"), stack.environ["DYNAMO_TABLE_NAME"]
    for pk in ("A", "B"):
        for n in range(5):
            client.put_item(
                TableName=name,
                Item={
                    "PK": {"S": pk},
                    "SK": {"S": f"{n:02d}"},
                    "TYPE": {"S": "T" if n % 2 else "U"},
                    "GSI1PK": {"S": "ODD" if n % 2 else "EVEN"},
                    "GSI1SK": {"S": f"{9 - n}"},
                    "VALUE": {"M": {"n": {"N": str(n)}, "l": {"L": [{"BOOL": True}, {"NULL": True}]}}},
                },
            )
    return client


def query(client: Any, stack: LocalStack, **arguments: Any) -> Any:
    values = {f":{name}": {"S": value} for name, value in arguments.pop("values").items()}
    return client.query(
        TableName=stack.environ["DYNAMO_TABLE_NAME"], ExpressionAttributeValues=values, **arguments
    )


def keys(answer: Any) -> list[str]:
    return [item["PK"]["S"] + item["SK"]["S"] for item in answer["Items"]]


def test_a_partition_is_read_in_order_and_page_by_page(dynamodb: Any, stack: LocalStack) -> None:
    asked = {"values": {"p": "A", "s": "01"}, "KeyConditionExpression": "PK = :p AND SK > :s"}
    assert keys(query(dynamodb, stack, **asked)) == ["A02", "A03", "A04"]
    first = query(dynamodb, stack, **asked, Limit=2)
    assert keys(first) == ["A02", "A03"]
    rest = query(dynamodb, stack, **asked, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert keys(rest) == ["A04"]
    assert keys(query(dynamodb, stack, **asked, ScanIndexForward=False)) == ["A04", "A03", "A02"]


def test_an_index_is_read_by_its_own_keys(dynamodb: Any, stack: LocalStack) -> None:
    odd = {"IndexName": "GSI1", "values": {"p": "ODD"}, "KeyConditionExpression": "GSI1PK = :p"}
    answer = query(dynamodb, stack, **odd)
    assert sorted(keys(answer)) == ["A01", "A03", "B01", "B03"]
    assert [item["GSI1SK"]["S"] for item in answer["Items"]] == ["6", "6", "8", "8"]
    typed = {"IndexName": "GSITYPE", "values": {"t": "T"}, "KeyConditionExpression": "#t = :t"}
    named = query(dynamodb, stack, **typed, ExpressionAttributeNames={"#t": "TYPE"}, Select="COUNT")
    assert named["Count"] == 4


def test_values_come_back_as_they_were_written(dynamodb: Any, stack: LocalStack) -> None:
    asked = {"values": {"p": "B", "s": "03"}, "KeyConditionExpression": "PK = :p AND SK = :s"}
    [item] = query(dynamodb, stack, **asked)["Items"]
    assert item["VALUE"] == {"M": {"n": {"N": "3"}, "l": {"L": [{"BOOL": True}, {"NULL": True}]}}}


def test_a_projection_leaves_the_rest_out(dynamodb: Any, stack: LocalStack) -> None:
    asked = {"values": {"p": "B"}, "KeyConditionExpression": "PK = :p", "ProjectionExpression": "PK, SK"}
    assert all(set(item) == {"PK", "SK"} for item in query(dynamodb, stack, **asked)["Items"])


def test_an_item_beyond_400_kilobytes_is_refused_and_a_rewritten_one_counted_anew(
    dynamodb: Any, stack: LocalStack
) -> None:
    name = stack.environ["DYNAMO_TABLE_NAME"]
    key = {"PK": {"S": "BIG"}, "SK": {"S": "0"}}
    with pytest.raises(dynamodb.exceptions.ClientError, match="size"):
        dynamodb.put_item(TableName=name, Item={**key, "TEXT": {"S": "x" * 410_000}})
    for _ in range(3):
        dynamodb.put_item(TableName=name, Item={**key, "TEXT": {"S": "x" * 300_000}})
        dynamodb.update_item(
            TableName=name,
            Key=key,
            UpdateExpression="SET #t = :t",
            ExpressionAttributeNames={"#t": "TEXT"},
            ExpressionAttributeValues={":t": {"S": "y" * 300_000}},
        )


def test_an_expression_that_was_seen_before_is_applied_to_the_item_and_values_of_now(
    dynamodb: Any, stack: LocalStack
) -> None:
    def count(pk: str, by: str) -> Any:
        return dynamodb.update_item(
            TableName=stack.environ["DYNAMO_TABLE_NAME"],
            Key={"PK": {"S": pk}, "SK": {"S": "00"}},
            UpdateExpression="SET seen = if_not_exists(seen, :zero) + :by, #v.#n = :by",
            ExpressionAttributeNames={"#v": "VALUE", "#n": "n"},
            ExpressionAttributeValues={":zero": {"N": "0"}, ":by": {"N": by}},
            ReturnValues="ALL_NEW",
        )["Attributes"]

    answers = [count("A", "1"), count("B", "5"), count("A", "2")]
    assert [answer["seen"]["N"] for answer in answers] == ["1", "5", "3"]
    assert [answer["VALUE"]["M"]["n"]["N"] for answer in answers] == ["1", "5", "2"]


def test_an_update_with_the_same_clause_twice_is_refused_each_time(dynamodb: Any, stack: LocalStack) -> None:
    for _ in range(2):
        with pytest.raises(dynamodb.exceptions.ClientError, match="SET"):
            dynamodb.update_item(
                TableName=stack.environ["DYNAMO_TABLE_NAME"],
                Key={"PK": {"S": "A"}, "SK": {"S": "00"}},
                UpdateExpression="SET a = :v SET b = :v",
                ExpressionAttributeValues={":v": {"N": "1"}},
            )


def test_of_conditional_writes_at_the_same_moment_one_is_taken() -> None:
    taken: list[threading.Thread] = []

    def write(_: DynamoHandler) -> bool:
        if taken:
            return False
        time.sleep(0.01)  # another thread's turn, between the condition and the write
        taken.append(threading.current_thread())
        return True

    alone = one_after_the_other(write, threading.Lock())
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: alone(cast("DynamoHandler", None)), range(4)))
    assert sum(outcomes) == 1
