"""The next run as one command, and as one message."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from messages.fields import JOB_NAME_CHARS
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob

FIRST_NAME = "receipts-1"
SWEEP_TAGS = frozenset({"sweep", "trial"})
_NUMBER = re.compile(r"^(?P<stem>.*?)-(?P<number>\d+)$")
_DIGITS = 8
"""Characters that a name keeps free for its number."""


def next_name(name: str | None, taken: Iterable[str]) -> str:
    """A name for the run after this one: the same with the next number that no known run has."""
    used = set(taken)
    if name is None:
        name, number = FIRST_NAME.rpartition("-")[0], 1
    else:
        numbered = _NUMBER.match(name)
        name, number = (numbered["stem"], int(numbered["number"]) + 1) if numbered else (name, 2)
    stem = name[: JOB_NAME_CHARS - _DIGITS].rstrip(".")
    while f"{stem}-{number}" in used:
        number += 1
    return f"{stem}-{number}"


def differing(options: Hyperparameters) -> dict[str, Any]:
    """The hyperparameters that are not the default, as JSON has them."""
    default = Hyperparameters().model_dump(mode="json")
    return {name: value for name, value in options.model_dump(mode="json").items() if value != default[name]}


def message_of(
    job_name: str, options: Hyperparameters, tags: Mapping[str, str], export: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of the message that asks for the run.

    Args:
        job_name: its name.
        options: its hyperparameters.
        tags: of the run before it; those of a sweep do not go along.
        export: what that one asked for its export.
    """
    body: dict[str, Any] = {"job_name": job_name, "hyperparameters": differing(options)}
    body |= {name: export[name] for name in export if export[name] != TrainJob.model_fields[name].default}
    if options.unlike_clients:
        body["auto_export"] = False
    kept = {name: value for name, value in tags.items() if name not in SWEEP_TAGS}
    return body | ({"tags": kept} if kept else {})


def command_of(message: Mapping[str, Any]) -> str:
    """The command that trains the run of a message here and now, quoted for a shell."""
    job = {name: value for name, value in message.items() if name not in {"job_name", "hyperparameters"}}
    words = ["layoutlm-cli", "train", message["job_name"]]
    for name, value in {**message["hyperparameters"], **job}.items():
        words += [f"--{name.replace('_', '-')}", _text(value)]
    return shlex.join(words)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, dict) else "float32" if value is None else str(value)
