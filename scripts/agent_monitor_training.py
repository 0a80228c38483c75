#!/usr/bin/env python3
"""Print the state of the training under way of a table as JSON, or write it to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from layoutlm_cli.exit_codes import failures_explained, skipped_said
from layoutlm_cli.mcp_server.readers import (
    OutputFile,
    TableName,
    json_text,
    open_records_of,
    read_active,
    write_or_print,
)
from layoutlm_cli.writing import write_whole


def monitor_active_training(
    table_name: str | None = None, output_file: str | Path | None = None
) -> dict[str, Any]:
    """Return the newest run that has not ended, or `{"status": "no_active_jobs"}`; also write it to a file.

    Raises:
        SettingsError: no table is named, or the file cannot be written.
        DynamoError: the table cannot be read.
    """
    document = read_active(open_records_of(table_name))
    if output_file is not None:
        write_whole(Path(output_file), json_text(document))
    return document


def main(table_name: TableName = None, output_file: OutputFile = None) -> None:
    """The newest run of a table that has not ended: options, evaluations, time left, last log lines, as JSON.

    Region, bucket and credentials are those of the environment: AWS_REGION, LAYOUTLM_TRAINING_BUCKET.
    """
    document = monitor_active_training(table_name)
    write_or_print(document, output_file, f"{len(document.get('active_jobs', ()))} runs under way")


if __name__ == "__main__":
    with failures_explained():
        typer.run(skipped_said(main))
