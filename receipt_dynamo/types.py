"""`AttributeValue` and `Item`, the DynamoDB JSON types; imports nothing of the package."""

from __future__ import annotations

from typing import Any, TypeAlias

AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]
