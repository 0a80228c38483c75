"""Options that stand for settings: given to a command, they win over the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

SETTING_OPTIONS: Mapping[str, Any] = {
    "dynamo_table": typer.Option(
        "--dynamo-table", help="The table, instead of DYNAMO_TABLE_NAME.", metavar="NAME"
    ),
    "region": typer.Option("--region", help="The region, instead of AWS_REGION.", metavar="REGION"),
}
"""Options that each command which works on the table and its queues takes."""

DynamoTable = Annotated[str | None, SETTING_OPTIONS["dynamo_table"]]
Region = Annotated[str | None, SETTING_OPTIONS["region"]]

_VARIABLES = {"dynamo_table": ("DYNAMO_TABLE_NAME",), "region": ("AWS_REGION", "AWS_DEFAULT_REGION")}


def apply_settings(given: Mapping[str, str | None]) -> None:
    """Put what is given into this process's environment, which its children and all clients read.

    A key is the name of an option above, or the variable itself.
    """
    for name, value in given.items():
        for variable in _VARIABLES.get(name, (name,)) if value else ():
            os.environ[variable] = str(value)
