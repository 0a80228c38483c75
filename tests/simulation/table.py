"""DynamoDB as our requests see it: items, conditional writes, indexes that lag, and its own time.

Only the answers are imitated; `test_simulation_conformance.py` holds them against an emulator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from receipt_dynamo.table import INDEX_KEYS
from tests.simulation.expressions import apply, compile_condition, compile_update, placeholders
from tests.simulation.operators import Item, Scope, WrongExpression

EPOCH = 1_767_225_600.0
"""The table's time when a simulation begins: 2026-01-01 in seconds since 1970."""

Key = tuple[str, str]
_EXPRESSIONS = (
    "ConditionExpression",
    "UpdateExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
)


class Write(NamedTuple):
    """One accepted write: when, by which process, and what stood there before and after."""

    at: float
    actor: str
    before: Item | None
    after: Item | None


@dataclass
class Table:
    """The items and their history.

    Attributes:
        now: virtual seconds.
        index_lag: how far an index is behind the table, in seconds, asked for at each query of one.
        on_write: told of each accepted write.
    """

    now: Callable[[], float] = lambda: 0.0
    index_lag: Callable[[], float] = lambda: 0.0
    on_write: Callable[[Write], None] = lambda _: None
    items: dict[Key, Item] = field(default_factory=dict)
    _seen_by_indexes: dict[Key, Item] = field(default_factory=dict)
    _not_yet_seen: deque[tuple[float, Key, Item | None]] = field(default_factory=deque)

    def answer(self, actor: str, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do what a call asks for.

        Raises:
            ClientError: what DynamoDB would refuse.
        """
        try:
            _check_placeholders(arguments)
            answer: dict[str, Any] = getattr(self, call)(actor, **arguments)
        except WrongExpression as wrong:
            raise _refusal("ValidationException", str(wrong), call) from wrong
        date = formatdate(EPOCH + self.now(), usegmt=True)
        return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def get_item(self, _: str, **request: Any) -> dict[str, Any]:
        item = self.items.get(_identity(request["Key"]))
        return {} if item is None else {"Item": item}

    def put_item(self, actor: str, **request: Any) -> dict[str, Any]:
        key = _identity(request["Item"])
        self._check(request, key, "PutItem")
        self._store(actor, key, dict(request["Item"]))
        return {}

    def update_item(self, actor: str, **request: Any) -> dict[str, Any]:
        key = _identity(request["Key"])
        actions = compile_update(request["UpdateExpression"])
        self._check(request, key, "UpdateItem")
        standing = self.items.get(key, request["Key"])
        scope = Scope(
            standing, request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues", {})
        )
        after = apply(actions, scope)
        if _identity(after) != key:
            raise WrongExpression("an update cannot change the primary key")
        self._store(actor, key, after)
        return {"Attributes": after} if request.get("ReturnValues") == "ALL_NEW" else {}

    def delete_item(self, actor: str, **request: Any) -> dict[str, Any]:
        key = _identity(request["Key"])
        self._check(request, key, "DeleteItem")
        self._store(actor, key, None)
        return {}

    def batch_write_item(self, actor: str, **request: Any) -> dict[str, Any]:
        for puts in request["RequestItems"].values():
            for put in puts:
                item = dict(put["PutRequest"]["Item"])
                self._store(actor, _identity(item), item)
        return {"UnprocessedItems": {}}

    def query(self, _: str, **request: Any) -> dict[str, Any]:
        index = request.get("IndexName")
        hash_and_range = ("PK", "SK") if index is None else INDEX_KEYS[index]
        matching = self._matching(request, index, hash_and_range)
        start = request.get("ExclusiveStartKey")
        if start is not None:
            matching = matching[1 + [_identity(one) for one in matching].index(_identity(start)) :]
        page = matching[: request.get("Limit")]
        kept = [item for item in page if _passes(request, "FilterExpression", item)]
        answer: dict[str, Any] = {"Count": len(kept), "ScannedCount": len(page)}
        if request.get("Select") != "COUNT":
            answer["Items"] = [_projected(request, item) for item in kept]
        if len(page) == request.get("Limit"):
            names = {"PK", "SK", *hash_and_range}
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in names}
        return answer

    def _matching(self, request: Any, index: str | None, keys: tuple[str, ...]) -> list[Item]:
        found = self.items if index is None else self._indexed()
        hits = [
            item
            for item in found.values()
            if all(name in item for name in keys) and _passes(request, "KeyConditionExpression", item)
        ]
        if len(keys) > 1:
            # Stable: items of one range key keep their order, backwards too.
            hits.sort(key=lambda item: str(item[keys[1]]["S"]))
            if request.get("ScanIndexForward") is False:
                hits.reverse()
        return hits

    def _indexed(self) -> dict[Key, Item]:
        """The items as the indexes know them by now."""
        until = self.now() - self.index_lag()
        while self._not_yet_seen and self._not_yet_seen[0][0] <= until:
            _, key, item = self._not_yet_seen.popleft()
            if item is None:
                self._seen_by_indexes.pop(key, None)
            else:
                self._seen_by_indexes[key] = item
        return self._seen_by_indexes

    def _check(self, request: dict[str, Any], key: Key, call: str) -> None:
        standing = self.items.get(key)
        if _passes(request, "ConditionExpression", standing or {}):
            return
        shown = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        raise _refusal(
            "ConditionalCheckFailedException",
            "The conditional request failed",
            call,
            standing if shown else None,
        )

    def _store(self, actor: str, key: Key, after: Item | None) -> None:
        before = self.items.get(key)
        if after is None:
            del self.items[key]
        else:
            self.items[key] = after
        self._not_yet_seen.append((self.now(), key, after))
        self.on_write(Write(self.now(), actor, before, after))


def _identity(item: Item) -> Key:
    return item["PK"]["S"], item["SK"]["S"]


def _passes(request: dict[str, Any], expression: str, item: Item) -> bool:
    text = request.get(expression)
    if text is None:
        return True
    names, values = request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues", {})
    return compile_condition(text)(Scope(item, names, values))


def _projected(request: dict[str, Any], item: Item) -> Item:
    text = request.get("ProjectionExpression")
    if text is None:
        return item
    wanted = [request["ExpressionAttributeNames"][name.strip()] for name in text.split(",")]
    return {name: item[name] for name in wanted if name in item}


def _check_placeholders(request: dict[str, Any]) -> None:
    """DynamoDB refuses placeholders that no expression uses, and uses of what was not given."""
    used = placeholders(*(request[name] for name in _EXPRESSIONS if name in request))
    given = {*request.get("ExpressionAttributeNames", ()), *request.get("ExpressionAttributeValues", ())}
    if used != given:
        raise WrongExpression(f"placeholders used and given differ: {sorted(used ^ given)}")


def _refusal(code: str, message: str, call: str, item: Item | None = None) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPHeaders": {}}}
    if item is not None:
        response["Item"] = item
    return ClientError(response, call)
