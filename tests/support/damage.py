"""Items as other software leaves them: stored ones changed past every record, straight in the table."""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from receipt_dynamo.types import Item
from workers.local_aws.local_stack import LocalStack

CONTRACT = Path(__file__).parents[2].parent / "shared" / "contracts" / "items.jsonl"

ODD: tuple[dict[str, Any], ...] = (
    {"S": "odd"},
    {"S": ""},
    {"S": "NaN"},
    {"S": "-Infinity"},
    {"S": "2024/01/01"},
    {"S": "9999-12-31T23:59:59-14:00"},
    {"N": "-1"},
    {"N": "1E+100"},
    {"N": "0.5"},
    {"BOOL": True},
    {"NULL": True},
    {"SS": ["a", "b"]},
    {"NS": ["1"]},
    {"B": b"odd"},
    {"L": []},
    {"L": [{"SS": ["a"]}]},
    {"M": {}},
    {"M": {"f1": {"S": "high"}, "x": {"L": [{"NULL": True}]}}},
)
"""Values that no, or hardly any, attribute of a record has."""
_ODD_KEYS = ("odd", "odd#key", "#", "RECEIPT#1", "JOB#odd", "METRIC#", "LOG#yesterday", "STATUS#paused")
_PRIMARY = frozenset({"PK", "SK"})
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_OWN_PARTITION = frozenset({"JOB", "JOB_LEASE", "COREML_EXPORT", "IMAGE", "RECEIPT"})
"""Kinds of which each record is given ids of its own; the others stay in the partition that they are in."""


def contract_items() -> list[Item]:
    """One real item of each kind."""
    return [json.loads(line) for line in CONTRACT.read_text(encoding="utf-8").splitlines()]


def stored_items(stack: LocalStack) -> list[Item]:
    """Every item of the table, by key: what is drawn from them must not depend on the table's own order."""
    dynamodb: Any = stack.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(TableName=stack.environ["DYNAMO_TABLE_NAME"])
    found = [item for page in pages for item in page["Items"]]
    return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))


def put_items(stack: LocalStack, *items: Item) -> None:
    """Write items as they are."""
    dynamodb: Any = stack.client("dynamodb")
    for item in items:
        dynamodb.put_item(TableName=stack.environ["DYNAMO_TABLE_NAME"], Item=item)


def damage(stack: LocalStack, key: Item, **changes: Any) -> Item:
    """Give attributes of a stored item these values in DynamoDB JSON, None for none; returns the new item."""
    dynamodb: Any = stack.client("dynamodb")
    found = dynamodb.get_item(TableName=stack.environ["DYNAMO_TABLE_NAME"], Key=key, ConsistentRead=True)
    item: Item = {name: value for name, value in (found["Item"] | changes).items() if value is not None}
    put_items(stack, item)
    return item


def another(item: Item, number: int) -> Item:
    """A copy beside an item: another time and, where a kind has a partition for each record, other ids."""
    own = item.get("TYPE", {}).get("S") in _OWN_PARTITION

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: change(one) for name, one in value.items()}
        if isinstance(value, list):
            return [change(one) for one in value]
        if not isinstance(value, str):
            return value
        text = re.sub(r"(\d\d:\d\d:\d\d\.)\d{6}", rf"\g<1>{number:06d}", value)
        text = re.sub(r"(LINE|WORD)#\d{5}", rf"\g<1>#{number:05d}", text)
        return (
            _UUID.sub(lambda found: str(uuid.uuid5(uuid.UUID(found[0]), str(number))), text) if own else text
        )

    copied: Item = change(item)
    return copied


@st.composite
def damaged(draw: st.DrawFn, items: Sequence[Item], least: int = 20, most: int = 60) -> list[Item]:
    """Draw damaged copies of these items; none takes the place of one of them."""
    drawn = draw(st.lists(st.sampled_from(items), min_size=least, max_size=most))
    copies = [another(item, number) for number, item in enumerate(drawn, start=2)]
    for item in copies:
        for _ in range(draw(st.integers(1, 2))):
            name = draw(st.sampled_from(sorted(item)))
            draw(st.sampled_from((_drop, _replace, _replace_within)))(draw, item, name)
    return copies


def _drop(draw: st.DrawFn, item: Item, name: str) -> None:
    if name in _PRIMARY:
        _replace(draw, item, name)
    else:
        del item[name]


def _replace(draw: st.DrawFn, item: Item, name: str) -> None:
    if name in _PRIMARY or name == "TYPE" or name.startswith("GSI"):  # the table takes no other type there
        item[name] = {"S": draw(st.sampled_from(_ODD_KEYS))}
    else:
        item[name] = copy.deepcopy(draw(st.sampled_from(ODD)))


def _replace_within(draw: st.DrawFn, item: Item, name: str) -> None:
    """Change something inside a map or a list, at any depth."""
    value = item[name]
    while True:
        ((tag, content),) = value.items()
        if tag not in {"M", "L"} or not content:
            break
        inner = draw(st.sampled_from(sorted(content) if tag == "M" else range(len(content))))
        if draw(st.booleans()):
            content[inner] = copy.deepcopy(draw(st.sampled_from(ODD)))
            return
        value = content[inner]
    _replace(draw, item, name)
