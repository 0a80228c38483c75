"""Reduces an attempt result to one that the table accepts; retries of a permanent refusal would fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from messages.child_protocol import ErrorClass, Trained
from receipt_dynamo.attribute_values import write_value
from receipt_dynamo.errors import InvalidValue, ItemTooLarge, UnwritableItem
from workers.runtime.outcome import AttemptResult, Ending

UNHOLDABLE = (InvalidValue, UnwritableItem, ItemTooLarge)
"""Permanent refusals of the table: a retry gets the same one."""
MOST_CHARS = 20_000
"""Characters of one result, in DynamoDB JSON."""


def holdable(verdict: AttemptResult) -> Iterator[AttemptResult]:
    """The attempt result, then its substitutes if the table refuses it: with fewer results, then a failure.

    A training that has succeeded is not lost because one of its numbers is NaN or infinite.
    """
    yield verdict
    if isinstance(verdict.report, Trained):
        results = {name: value for name, value in verdict.report.results.items() if _fits(name, value)}
        yield replace(verdict, report=verdict.report.model_copy(update={"results": results}))
    yield AttemptResult(
        Ending.NEVER,
        error_class=ErrorClass.CONFIGURATION,
        message="The table cannot hold how the attempt ended: it exceeds an item's 400 KB, or has a number "
        "that DynamoDB has no form for. The worker's log names it.",
        seconds=verdict.seconds,
    )


def _fits(name: str, value: Any) -> bool:
    try:
        return len(json.dumps(write_value(name, value))) <= MOST_CHARS
    except InvalidValue:
        return False
