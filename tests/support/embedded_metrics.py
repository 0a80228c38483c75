"""The rules of CloudWatch's embedded metric format, and the metrics of a line that keeps them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema

_SIZES = [f"{size}{what}" for what in ("bytes", "bits") for size in ("", "Kilo", "Mega", "Giga", "Tera")]
_AMOUNTS = [*(size[0].upper() + size[1:] for size in _SIZES), "Count"]
UNITS = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Percent",
    "None",
    *_AMOUNTS,
    *(f"{one}/Second" for one in _AMOUNTS),
]

_NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
_METRIC = {
    "type": "object",
    "required": ["Name"],
    "additionalProperties": False,
    "properties": {"Name": _NAME, "Unit": {"enum": UNITS}, "StorageResolution": {"enum": [1, 60]}},
}
_DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": _NAME,
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "maxItems": 30, "items": {**_NAME, "maxLength": 250}},
        },
        "Metrics": {"type": "array", "maxItems": 100, "items": _METRIC},
    },
}
_SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {"type": "array", "items": _DIRECTIVE},
            },
        }
    },
}

Dimensions = tuple[tuple[str, str], ...]


def metrics_of(line: dict[str, Any]) -> dict[str, tuple[float, str, list[Dimensions]]]:
    """Each metric of a line with value, unit and dimensions; raises where CloudWatch would drop the line."""
    jsonschema.validate(line, _SCHEMA)
    assert len(json.dumps(line)) < 256 * 1024
    found = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        dimensions: list[Dimensions] = []
        for names in directive["Dimensions"]:
            values = [line[name] for name in names]
            assert all(
                isinstance(value, str) and 0 < len(value) <= 1024 and value.isascii() for value in values
            )
            dimensions.append(tuple(zip(names, values, strict=True)))
        for metric in directive["Metrics"]:
            value = line[metric["Name"]]
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            assert math.isfinite(value)
            found[metric["Name"]] = (value, metric["Unit"], dimensions)
    return found
