"""Every option of a training with default, unit, meaning and bounds, read off the message's own schema."""

from __future__ import annotations

from typing import Any

from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob

# Where a value may also be null, the schema keeps the models' own names of bounds.
_KEYWORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}


def make_template() -> dict[str, Any]:
    """A request with every default, and each field of it described."""
    schema = TrainJob.model_json_schema()
    job = {name: field for name, field in schema["properties"].items() if name != "hyperparameters"}
    return {
        "request": {
            "job_name": "layoutlm-my-experiment",
            "hyperparameters": Hyperparameters().model_dump(mode="json"),
        },
        "required": ["job_name"],
        "job": _describe(job),
        "hyperparameters": _describe(schema["$defs"]["Hyperparameters"]["properties"]),
    }


def _describe(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in _renamed(field).items() if key != "title"}
        for name, field in fields.items()
    }


def _renamed(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {_KEYWORDS.get(key, key): _renamed(value) for key, value in schema.items()}
    return [_renamed(one) for one in schema] if isinstance(schema, list) else schema
