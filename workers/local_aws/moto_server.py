"""The moto server process, with its speed-ups."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import resource
import sys
import threading
from collections import defaultdict
from functools import cache
from typing import Any

from moto.core.common_models import BaseModel
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models import dynamo_type
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import dynamo_json_dump
from moto.dynamodb.parsing import validators
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.responses import DynamoHandler
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

MAX_ITEM_BYTES = 405_000
BUFFER_BYTES = 262_144
"""Bytes of an object kept in memory; a larger one goes to a temporary file that ends with this process."""
MAX_FILES = 10_240
"""Open at a time: as many as macOS lets a process have."""


class RunningSizeDict(dict[str, Any]):
    """An item's attributes with a running size.

    moto sums all attributes again for each one that is set: four fifths of the time of a BatchWriteItem.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.update(*args, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        size = getattr(self, "bytes_used", 0) + len(key.encode()) + _size(value)
        if key in self:
            size -= len(key.encode()) + _size(self[key])
        if size > MAX_ITEM_BYTES:
            raise ItemSizeTooLarge
        self.bytes_used = size
        super().__setitem__(key, value)


def _size(value: Any) -> int:
    return value.size() if isinstance(value, dynamo_type.DynamoType) else len(str(value).encode())


def _item_size(item: dynamo_type.Item) -> int:
    known = getattr(item.attrs, "bytes_used", None)
    return known if known is not None else sum(len(k.encode()) + _size(v) for k, v in item.attrs.items())


def _query_part(whole_table_query: Any) -> Any:
    """Run a query over the items that can match: moto sorts and compares the whole table for each one."""

    def query(table: Table, hash_key: Any, *args: Any, **kwargs: Any) -> Any:
        part = copy.copy(table)
        conditions = kwargs.get("hash_key_conditions") or []
        if _index_name(args, kwargs) is None:
            part.items = defaultdict(dict, {hash_key: table.items.get(hash_key, {})})
        else:
            part.items = defaultdict(dict, _matching(table, conditions))
        return whole_table_query(part, hash_key, *args, **kwargs)

    return query


def _index_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    return args[6] if len(args) > 6 else kwargs.get("index_name")  # noqa: PLR2004 - its place in Table.query


def _matching(table: Table, conditions: list[tuple[str, Any]]) -> dict[Any, dict[Any, Any]]:
    wanted = [(name, value.value) for name, value in conditions]
    found: dict[Any, dict[Any, Any]] = {}
    for hash_key, items in list(table.items.items()):
        for range_key, item in list(items.items()):
            if all(name in item.attrs and item.attrs[name].value == value for name, value in wanted):
                found.setdefault(hash_key, {})[range_key] = item
    return found


def _answer_in_json(answer: Any) -> Any:
    """Write an answer out as it is: moto walks all of it by the service's model, value by value."""

    def answer_in_json(handler: DynamoHandler) -> str:
        return str(dynamo_json_dump(answer(handler).result))

    return answer_in_json


def _parse_updates_once() -> None:
    """Keep what an update's expression was parsed to, and copy it fast: every request asks for both anew."""
    UpdateExpressionParser.make = cache(UpdateExpressionParser.make)
    validators.deepcopy = lambda parsed: pickle.loads(pickle.dumps(parsed))  # noqa: S301 - our own
    # The root knows of all clauses; moto counts them again at each of the dozens of nodes below it.
    validators.ActionCountValidator.traverse = validators.ActionCountValidator.verify_action_counts


def one_after_the_other(write: Any, lock: threading.Lock) -> Any:
    """Serialise writes: moto does not check a condition and write in one atomic step."""

    def write_alone(handler: DynamoHandler) -> Any:
        with lock:
            return write(handler)

    return write_alone


def make_writes_atomic() -> None:
    """Decide conditional writes as DynamoDB does: of two at the same moment one is refused."""
    lock = threading.Lock()
    for name in ("put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items"):
        setattr(DynamoHandler, name, one_after_the_other(getattr(DynamoHandler, name), lock))


def speed_up_moto() -> None:
    """Make moto fit for a table of 100,000 items; what it answers stays the same."""
    dynamo_type.LimitedSizeDict = RunningSizeDict
    dynamo_type.Item.size = _item_size
    Table.query = _query_part(Table.query)
    for name in ("get_item", "query", "scan", "update_item"):
        setattr(DynamoHandler, name, _answer_in_json(getattr(DynamoHandler, name)))
    _parse_updates_once()


def keep_little_in_memory() -> None:
    """Bound what moto keeps: large objects go to disk, and what was replaced or deleted is given back.

    moto keeps every object, item and message that it has ever made in a list, only to count them on a page of
    its own. And a file that it keeps an object in stays open.
    """
    BaseModel.__new__ = lambda cls, *_, **__: object.__new__(cls)
    os.environ.setdefault("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", str(BUFFER_BYTES))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    # Requests, bodies included, are freed by the collector of cycles only. It looks at old objects the more
    # seldom, the more there are; without those of moto's own modules it looks in time.
    gc.freeze()


def _end_with_parent(server: BaseWSGIServer) -> None:
    sys.stdin.buffer.read()
    server.shutdown()


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    speed_up_moto()
    make_writes_atomic()
    keep_little_in_memory()
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
    try:
        # Not by print, whose buffer would be written again at the exit.
        os.write(sys.stdout.fileno(), f"{server.server_port}\n".encode())
    except BrokenPipeError:  # the process that started this one has ended meanwhile
        return
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
